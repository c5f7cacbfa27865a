# The image branch alone, from scratch: no prior in any form.
_base_ = './plain.py'
model = dict(backbone=dict(image_encoder=dict(init_cfg=None)))
