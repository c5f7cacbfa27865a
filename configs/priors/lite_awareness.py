# As face_awareness.py, of the priors at 64x64.
_base_ = ['./face_awareness.py', '../_base_/models/lite_priors.py']

model = dict(
    backbone=dict(
        parsing_prior=dict(_delete_=True, **_base_.lite_parsing_prior),
        landmark_prior=dict(_delete_=True, **_base_.lite_landmark_prior)),
    neck=dict(in_channels=[32, 96, 112]))
