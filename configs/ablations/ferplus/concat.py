# Image features and both priors concatenated: the baseline of the fusion.
_base_ = './mcm.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='orsa.ConcatFusion',
        in_channels=[192, 80, 104],
        out_channels=192))
