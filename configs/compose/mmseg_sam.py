# A model of mmseg alone, trained with SAM: its MobileNetV2 and its FCN head.
# The loop is by iteration, as mmseg's schedules.
_base_ = './_faces_mmseg.py'

model = dict(
    type='EncoderDecoder',
    data_preprocessor={{_base_.data_preprocessor}},
    # a map of an eighth of the image
    backbone=dict(
        type='MobileNetV2',
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6)),
    decode_head=dict(
        type='FCNHead',
        in_channels=320,
        in_index=3,
        channels=64,
        num_convs=1,
        concat_input=False,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

# the loop needs this wrapper
optim_wrapper = dict(
    type='orsa.SAMOptimWrapper',
    rho=0.05,
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
train_cfg = dict(
    type='orsa.SAMIterBasedTrainLoop', max_iters=4000, val_interval=1000)
param_scheduler = dict(type='PolyLR', power=0.9, end=4000, by_epoch=False)
