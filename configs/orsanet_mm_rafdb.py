# ORSANet on RAF-DB with the masks of SegFace and 106 landmarks of RTMPose as
# priors. For another landmark prior change one line of
# _base_/models/orsanet_mm.py.
_base_ = [
    '_base_/models/orsanet_mm.py', '_base_/datasets/rafdb_224.py',
    '_base_/schedules/sam_adam_400e.py', '_base_/default_runtime.py'
]

# As orsanet_rafdb.py; untuned for these priors.
optim_wrapper = dict(optimizer=dict(lr=4e-5))
custom_hooks = [
    dict(
        type='orsa.SwitchRecipeHook',
        schedule=[dict(action_epoch=8, loss={{_base_.dynamic_loss}})])
]
