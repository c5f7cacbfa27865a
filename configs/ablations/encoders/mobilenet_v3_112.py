# A light network of mmpretrain's, from scratch.
_base_ = './mobilenet_112.py'
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(_delete_=True, type='MobileNetV3', arch='small'),
    head=dict(in_channels=576))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.))))
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs)
