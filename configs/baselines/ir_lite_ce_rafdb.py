# The image encoder of ORSANet-lite from the same weights, with a linear layer
# and cross-entropy. Forty epochs are as many forward passes as ORSANet-lite's
# twenty with SAM.
_base_ = [
    '../_base_/models/lite_landmark.py', '../_base_/datasets/rafdb_64.py',
    './_adamw_lite.py', '../_base_/default_runtime.py'
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
        arch={{_base_.lite_arch}},
        init_cfg=dict(
            type='Pretrained',
            checkpoint='orsa://lite_landmark.pth',
            prefix='backbone.')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=112))
