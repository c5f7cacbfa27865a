# ResNet-18 from ImageNet, https://arxiv.org/abs/1512.03385, fine-tuned by
# mmpretrain's recipe for a small set of similar classes (CUB-200). Images,
# augmentation and sampling are those of ORSANet.
_base_ = [
    '../_base_/datasets/rafdb_224.py',
    'mmpretrain::_base_/schedules/cub_bs64.py', '../_base_/default_runtime.py'
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
        type='ResNet',
        depth=18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/'
            'resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth',
            prefix='backbone')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=512))
train_dataloader = dict(batch_size=64)
