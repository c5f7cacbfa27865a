# The complete model, as configs/orsanet_face_ferplus.py, for fewer epochs.
_base_ = '../../orsanet_face_ferplus.py'

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-6,
        convert_to_iter_based=True),
]
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=3, loss={{_base_.dynamic_loss}})])
]
