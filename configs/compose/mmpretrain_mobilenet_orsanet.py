# ORSANet-lite around an image encoder of mmpretrain: MobileNetV2 in place of
# IR-Net. Its priors are frozen and ship with their weights. Any backbone whose
# last output is a map works, if the map's size is a multiple of `grid`: it
# is 4x4 here, for 128x128.
_base_ = ['./_faces_mmpretrain.py', '../_base_/models/orsanet_lite.py']

model = dict(
    backbone=dict(
        image_size=128, image_encoder=dict(_delete_=True, type='MobileNetV2')))

optim_wrapper = dict(
    type='orsa.SAMOptimWrapper',
    rho=0.05,
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=20, val_interval=1)
# stops the run unless the priors have the data preprocessor's mean and std
custom_hooks = [dict(type='orsa.ModelCheckHook')]
