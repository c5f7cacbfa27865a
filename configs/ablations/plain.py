# The image branch alone, initialized from the landmark model as all variants.
_base_ = './concat.py'
model = dict(
    backbone=dict(parsing_prior=None, landmark_prior=None),
    neck=dict(in_channels=[96]))
