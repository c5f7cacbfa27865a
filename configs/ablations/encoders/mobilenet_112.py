# An image encoder, its mean feature and a linear layer on FER+, the votes as
# targets. MobileNet has learned to recognise people.
_base_ = [
    '../../_base_/datasets/ferplus_112.py', '../../baselines/_adamw_lite.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='ImageClassifier',
    # of the published network, RGB
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.68, 116.779, 103.939],
        std=[1., 1., 1.],
        to_rgb=True,
        num_classes=8),
    backbone=dict(
        type='orsa.MobileNetV1',
        channels_last=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}face_mobilenet.pth')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=8, in_channels=1024))
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
# a third of the learning rate from scratch, and much more for the new layer
optim_wrapper = dict(
    optimizer=dict(lr=3e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.))))
max_epochs = 2
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
