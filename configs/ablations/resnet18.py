# ResNet-18 of mmpretrain, the external baseline, from scratch as no ImageNet
# weights ship with the package. Half the epochs and no SAM: it trains as long
# as the others, with SAM it would get a quarter of their epochs.
_base_ = './plain.py'
max_epochs = 11
model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(gate=False, in_channels=512))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
train_cfg = dict(
    _delete_=True,
    type='orsa.EpochTrainLoop',
    max_epochs=max_epochs,
    val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=40),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-5,
        convert_to_iter_based=True),
]
