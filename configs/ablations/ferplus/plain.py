# The image branch alone.
_base_ = './concat.py'
model = dict(
    backbone=dict(parsing_prior=None, landmark_prior=None),
    neck=dict(in_channels=[192]))
