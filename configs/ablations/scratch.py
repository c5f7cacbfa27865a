# The image branch alone, from scratch, without any prior.
_base_ = './plain.py'
model = dict(backbone=dict(image_encoder=dict(init_cfg=None)))
