# ORSANet-lite on RAF-DB, or on any faces in its layout: trains on two cores
# in minutes. `ORSA_RAFDB=PATH/OF/press_faces` trains it on public real faces,
# see docs/datasets.md.
_base_ = [
    '_base_/models/orsanet_lite.py', '_base_/datasets/rafdb_112.py',
    '_base_/schedules/sam_lite.py', '_base_/default_runtime.py'
]

max_epochs = 20
train_cfg = dict(
    type='orsa.SAMTrainLoop', max_epochs=max_epochs, val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=40),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-5,
        convert_to_iter_based=True),
]
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=14, loss={{_base_.dynamic_loss}})])
]
