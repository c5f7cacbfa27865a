# adamw_face.py for long enough: eight epochs, and eight more at half the rate
# (docs/ferplus.md). The dynamic loss from the sixth epoch on.
_base_ = './adamw_face.py'

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs)
round_epochs = max_epochs // 2
cosine = dict(
    type='CosineAnnealingLR',
    by_epoch=True,
    T_max=round_epochs,
    eta_min=1e-6,
    convert_to_iter_based=True)
# CosineRestartLR knows nothing of a warm-up: it would start at 2e-2
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=300),
    dict(cosine, end=round_epochs),
    # from 1e-6 to half of the first rate
    dict(type='MultiStepLR', milestones=[round_epochs], gamma=500.),
    dict(cosine, begin=round_epochs, end=max_epochs),
]
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=6, loss={{_base_.dynamic_loss}})])
]
