# Image features and landmark prior concatenated.
_base_ = './concat.py'
model = dict(
    backbone=dict(parsing_prior=None), neck=dict(in_channels=[192, 104]))
