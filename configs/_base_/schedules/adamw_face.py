# AdamW with a cosine for an image encoder that has learned from many faces;
# the dynamic loss from the fourth epoch on. Without SAM: what is not fitted
# after so few epochs needs no flat minimum yet, and a second pass costs an
# epoch.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

max_epochs = 5
train_cfg = dict(
    type='orsa.EpochTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=300),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-6,
        convert_to_iter_based=True),
]

auto_scale_lr = dict(base_batch_size=32, enable=False)

dynamic_loss = dict(
    type='orsa.CompositeLoss',
    losses=dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=4, loss=dynamic_loss)])
]
