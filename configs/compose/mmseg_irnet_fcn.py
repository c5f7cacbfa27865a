# IR-Net as a backbone of mmseg, under its FCN head.
_base_ = './_faces_mmseg.py'

model = dict(
    type='EncoderDecoder',
    data_preprocessor={{_base_.data_preprocessor}},
    backbone=dict(type='orsa.IRNet', arch='ir_lite', out_indices=(0, 1, 2)),
    decode_head=dict(
        type='FCNHead',
        in_channels=[24, 48, 128],
        in_index=[0, 1, 2],
        input_transform='resize_concat',
        channels=64,
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01))
param_scheduler = dict(type='PolyLR', power=0.9, end=4000, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=1000)
