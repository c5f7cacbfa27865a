# The lite model with another fusion, and nothing else changed.
_base_ = 'orsa::orsanet_lite_rafdb.py'

custom_imports = dict(imports=['gated_fusion'])
model = dict(
    neck=dict(
        _delete_=True,
        type='GatedFusion',
        # the image map, then the features of the parsing and landmark priors
        in_channels=[96, 80, 104],
        out_channels=96))
