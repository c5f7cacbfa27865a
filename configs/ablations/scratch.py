# The image branch alone, from nothing: no prior in any form.
_base_ = './plain.py'
model = dict(backbone=dict(image_encoder=dict(init_cfg=None)))
