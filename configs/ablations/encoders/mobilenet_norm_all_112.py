# The same with every stage trained and normalised.
_base_ = './mobilenet_norm_112.py'
model = dict(backbone=dict(frozen_stages=-1))
