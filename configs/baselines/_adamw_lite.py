# The lite models' AdamW and cosine (../_base_/schedules/sam_lite.py) without
# SAM's second pass. The leaf sets `train_cfg.max_epochs`, which the cosine
# follows.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=40),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        eta_min=1e-5,
        convert_to_iter_based=True),
]

train_cfg = dict(type='orsa.EpochTrainLoop', max_epochs=40, val_interval=3)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=32, enable=False)
