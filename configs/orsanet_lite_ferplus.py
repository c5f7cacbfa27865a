# ORSANet-lite on FERPlus, eight classes, with the votes as soft targets of the
# cross-entropy. Classes as targets:
# `--cfg-options train_dataloader.dataset.targets=classes`.
_base_ = [
    '_base_/models/orsanet_lite.py', '_base_/datasets/ferplus_112.py',
    '_base_/schedules/sam_lite.py', '_base_/default_runtime.py'
]

model = dict(data_preprocessor=dict(num_classes=8), head=dict(num_classes=8))

max_epochs = 12
train_cfg = dict(
    type='orsa.SAMTrainLoop', max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=400),
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
        schedule=[dict(action_epoch=8, loss={{_base_.dynamic_loss}})])
]
