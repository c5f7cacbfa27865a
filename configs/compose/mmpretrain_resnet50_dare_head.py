# mmpretrain's ResNet-50 under the head of ORSANet: the feature is gated, and
# the terms of its loss are logged one by one.
_base_ = './_faces_mmpretrain.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50, style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='orsa.DAREHead',
        num_classes=7,
        in_channels=2048,
        loss=dict(
            type='orsa.CompositeLoss',
            losses=dict(
                loss_ce=dict(type='CrossEntropyLoss'),
                loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))))

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
