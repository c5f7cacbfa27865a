# The model that `orsa predict` takes: ORSANet around a network of face
# recognition, trained on FER+ and press_faces together. Eight classes.
_base_ = [
    '_base_/models/orsanet_face.py', '_base_/datasets/ferplus_press_112.py',
    '_base_/schedules/adamw_face.py', '_base_/default_runtime.py'
]

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=300),
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
        schedule=[dict(action_epoch=6, loss={{_base_.dynamic_loss}})])
]
