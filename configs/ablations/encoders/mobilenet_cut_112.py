# MobileNet without its last stage: 7x7 features, half the parameters.
_base_ = './mobilenet_112.py'
model = dict(backbone=dict(out_indices=3), head=dict(in_channels=512))
