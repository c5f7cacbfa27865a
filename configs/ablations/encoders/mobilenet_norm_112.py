# The same with batch normalisation of its own in the stages that are trained,
# at a learning rate that it allows.
_base_ = './mobilenet_frozen_112.py'
model = dict(
    backbone=dict(
        norm=True, init_cfg=dict(checkpoint='orsa://face_start.pth')))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=3.))))
