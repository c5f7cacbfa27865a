# dlib's network without its last unit: 3x3 features.
_base_ = './dlib_112.py'
model = dict(backbone=dict(out_indices=3))
