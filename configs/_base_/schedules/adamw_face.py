# AdamW with a cosine for an image encoder that has learned from many faces: a
# third of the learning rate of the lite models, and as much as theirs for what
# is new.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        custom_keys={
            'backbone.adapter': dict(lr_mult=3.),
            'neck': dict(lr_mult=3.),
            'head': dict(lr_mult=3.)
        }))

max_epochs = 13
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-6,
        convert_to_iter_based=True),
]

auto_scale_lr = dict(base_batch_size=32, enable=False)

# What ORSANet's schedule switches to after the warm-up.
dynamic_loss = dict(
    type='orsa.CompositeLoss',
    losses=dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))
