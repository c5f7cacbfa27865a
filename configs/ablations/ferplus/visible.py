# Image tokens weighed by how much of the face is visible there.
_base_ = './mcm.py'
model = dict(
    backbone=dict(
        parsing_prior=dict(output='feature+visible', out_channels=81)),
    neck=dict(weigh_visible=True, parsing_encoder=dict(in_channels=81)))
