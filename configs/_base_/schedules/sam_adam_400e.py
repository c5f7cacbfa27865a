# SAM over Adam, learning rate times 0.98 each epoch, up to 400 epochs, and the
# dynamic loss after five epochs of warm-up: the published defaults
# (https://arxiv.org/abs/2507.15401).
optim_wrapper = dict(
    type='orsa.SAMOptimWrapper',
    rho=0.05,
    optimizer=dict(type='Adam', lr=1e-5, weight_decay=0., fused=True))

param_scheduler = dict(type='ExponentialLR', gamma=0.98, by_epoch=True)

train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=400, val_interval=1)
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

# The learning rate belongs to this batch size; --auto-scale-lr uses it.
auto_scale_lr = dict(base_batch_size=20, enable=False)
