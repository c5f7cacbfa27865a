# DAN, https://arxiv.org/abs/2109.07270, on the image encoder of ORSANet-lite
# from the same weights, with two heads in place of four.
_base_ = './ir_lite_ce_rafdb.py'

model = dict(
    neck=None,
    head=dict(
        _delete_=True,
        type='orsa.DANHead',
        num_classes=7,
        in_channels=112,
        num_heads=2))
