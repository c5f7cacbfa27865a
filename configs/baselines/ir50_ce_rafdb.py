# IR-50 of face recognition, https://arxiv.org/abs/1801.07698, with a linear
# layer and cross-entropy: ORSANet's image encoder from the same weights under
# ORSANet's schedule. Its weights are those of
# ../_base_/models/orsanet_large.py.
_base_ = [
    './_rafdb_112.py', '../_base_/schedules/sam_adam_400e.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        num_classes=7),
    backbone=dict(
        type='orsa.IRNet',
        arch='ir50',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ORSA_PRETRAINED:checkpoints/}}ir50.pth')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=256))
optim_wrapper = dict(optimizer=dict(lr=4e-5))
custom_hooks = []
