# SAM over AdamW with a cosine, for the lite models, which are trained for a
# short time and need a larger learning rate than the published one. The
# length is set by `max_epochs` of the leaf, in three places.
optim_wrapper = dict(
    type='orsa.SAMOptimWrapper',
    rho=0.05,
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

val_cfg = dict()
test_cfg = dict()

# The loss of the warm-up is the head's own, see the model's config.
dynamic_loss = dict(
    type='orsa.CompositeLoss',
    losses=dict(
        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))

custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=6, loss=dynamic_loss)])
]

auto_scale_lr = dict(base_batch_size=32, enable=False)
