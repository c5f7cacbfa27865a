# mmpretrain's ConvNeXt and the landmarks of an mmpose estimator, fused at
# three widths. orsa.ORSANet holds both; the frozen estimator resizes the image
# to its 64x64, and its inner map is 4x4 as well.
_base_ = ['./_faces_mmpretrain.py', '../_base_/models/lite_landmark.py']

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='orsa.ORSANet',
        image_size=128,
        resize_mode='bilinear',
        embed_dims=112,
        grid=4,
        image_encoder=dict(
            type='ConvNeXt', arch='atto', gap_before_final_norm=False),
        landmark_prior=dict(
            type='orsa.LandmarkPrior',
            model={{_base_.lite_landmark}},
            checkpoint='orsa://lite_landmark.pth',
            out_channels=112,
            input_size=64)),
    neck=dict(
        type='orsa.MultiScaleCrossInteraction',
        embed_dims=112,
        num_tokens=16,
        num_heads=4,
        depth=2),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=112))

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
# stops the run unless the prior has the data preprocessor's mean and std
custom_hooks = [dict(type='orsa.ModelCheckHook')]
