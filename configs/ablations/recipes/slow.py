# A third of the learning rate, and a warm-up of 200 iterations in place of 40.
_base_ = './votes.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        eta_min=1e-6,
        convert_to_iter_based=True),
]
