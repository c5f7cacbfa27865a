# DAN, https://arxiv.org/abs/2109.07270: ResNet-18 from MS-Celeb-1M and four
# heads, by its own recipe. Published: 89.70, the best of 40 epochs on the
# test set.
_base_ = './resnet18_rafdb.py'

checkpoint = '{{$ORSA_PRETRAINED:checkpoints/}}resnet18_msceleb.pth'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=checkpoint, prefix=None)),
    neck=None,
    head=dict(
        _delete_=True, type='orsa.DANHead', num_classes=7, in_channels=512))
# one face in five is rotated by up to 20 degrees and shifted by up to 32 of
# 224 pixels
affine = dict(rotate=20., shift=1 / 7, scale_range=(1., 1.), stretch=0.)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='orsa.RandomFaceAffine', size=224, prob=0.2, **affine),
    dict(type='RandomErasing', max_area_ratio=.25, fill_color=[104, 116, 124]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=256,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=1e-4, nesterov=False))
param_scheduler = [dict(type='StepLR', step_size=10, gamma=0.1)]
train_cfg = dict(max_epochs=40)
auto_scale_lr = dict(base_batch_size=256)
