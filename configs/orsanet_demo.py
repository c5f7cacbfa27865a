# ORSANet-lite on synthetic faces: no data needed. tools/quickstart.sh trains
# it, in two processes of 16 images per step.
_base_ = [
    '_base_/models/orsanet_lite.py', '_base_/datasets/synthetic_112.py',
    '_base_/schedules/sam_lite.py', '_base_/default_runtime.py'
]

max_epochs = 9
train_cfg = dict(
    type='orsa.SAMTrainLoop', max_epochs=max_epochs, val_interval=1)
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
        schedule=[dict(action_epoch=6, loss={{_base_.dynamic_loss}})])
]
