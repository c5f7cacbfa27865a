# Image features and parsing prior concatenated.
_base_ = './concat.py'
model = dict(
    backbone=dict(landmark_prior=None), neck=dict(in_channels=[192, 80]))
