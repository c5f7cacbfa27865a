# ORSANet large on AffectNet-7: the paper's model and recipe.
# Published: 66.69, the best of 76 epochs on the validation set.
_base_ = [
    '_base_/models/orsanet_large.py', '_base_/datasets/affectnet7_224.py',
    '_base_/schedules/sam_adam_400e.py', '_base_/default_runtime.py'
]

# The published log differs from the published defaults: it starts at 2e-6
# instead of 1e-5, and its loss after the warm-up suggests that DARE weighs
# about 1 instead of 0.1. It trains on 33,803 images, a reduced release.
optim_wrapper = dict(optimizer=dict(lr=2e-6))
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[
            dict(
                action_epoch=6,
                loss=dict(
                    type='orsa.CompositeLoss',
                    losses=dict(
                        loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
                        loss_dare=dict(type='orsa.DARELoss',
                                       loss_weight=1.0))))
        ])
]
