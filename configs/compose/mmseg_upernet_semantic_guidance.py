# The semantic guidance of ORSANet as a neck of mmseg, between its ResNet and
# its UPer head: the map of the third stage modulates that of the last one. The
# output is the input tuple with one map replaced.
_base_ = './_faces_mmseg.py'

model = dict(
    type='EncoderDecoder',
    data_preprocessor={{_base_.data_preprocessor}},
    backbone=dict(
        type='ResNetV1c', depth=18, num_stages=4, out_indices=(0, 1, 2, 3)),
    neck=dict(
        type='orsa.SemanticGuidance',
        in_channels=512,
        condition_channels=256,
        embed_channels=64,
        hidden_channels=64,
        in_index=3,
        condition_index=2,
        keep_condition=True),
    decode_head=dict(
        type='UPerHead',
        in_channels=[64, 128, 256, 512],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2),
        channels=64,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = dict(type='PolyLR', power=0.9, end=4000, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=1000)
