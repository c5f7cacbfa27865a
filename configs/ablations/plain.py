# The image branch alone, started from the landmark model as all variants are.
_base_ = './concat.py'
model = dict(
    backbone=dict(parsing_prior=None, landmark_prior=None),
    neck=dict(in_channels=[96]))
