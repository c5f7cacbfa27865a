# DAN's head, https://arxiv.org/abs/2109.07270, on the image encoder.
_base_ = './plain.py'
model = dict(
    backbone=dict(_delete_=True, **_base_.model.backbone.image_encoder),
    neck=None,
    head=dict(
        _delete_=True, type='orsa.DANHead', num_classes=8, in_channels=1024))
