# Swin-T from ImageNet, https://arxiv.org/abs/2103.14030, as ResNet-18 but for
# the optimizer, which is that of mmpretrain's Swin on CUB-200.
_base_ = './resnet18_rafdb.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        arch='tiny',
        img_size=224,
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/'
            'swin-transformer/'
            'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth',
            prefix='backbone')),
    head=dict(in_channels=768))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-6, weight_decay=0.0005),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        custom_keys={'.relative_position_bias_table': dict(decay_mult=0.)}),
    clip_grad=dict(max_norm=5.))
