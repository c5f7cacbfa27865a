# Image and both priors side by side: what a fusion with a design has to beat.
_base_ = './mcm.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='orsa.ConcatFusion',
        in_channels=[96, 96, 112],
        out_channels=96))
