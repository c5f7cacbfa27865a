# Image and parsing prior side by side.
_base_ = './concat.py'
model = dict(
    backbone=dict(landmark_prior=None), neck=dict(in_channels=[96, 96]))
