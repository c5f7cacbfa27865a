# ResNet-50 from ImageNet, https://arxiv.org/abs/1512.03385, as ResNet-18.
_base_ = './resnet18_rafdb.py'

model = dict(
    backbone=dict(
        depth=50,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/'
            'resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth')),
    head=dict(in_channels=2048))
