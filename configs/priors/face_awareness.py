# The two priors at 112x112 on aligned faces, for
# tools/analysis_tools/occlusion_awareness.py: no classifier is trained.
_base_ = [
    '../_base_/models/face_priors.py', '../_base_/datasets/rafdb_112.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        num_classes=7),
    backbone=dict(
        type='orsa.ORSANet',
        image_size=112,
        grid=7,
        embed_dims=32,
        image_encoder=dict(type='orsa.IRNet', arch='ir_lite'),
        parsing_prior={{_base_.face_parsing_prior}},
        landmark_prior={{_base_.face_landmark_prior}}),
    neck=dict(
        type='orsa.ConcatFusion', in_channels=[32, 80, 104], out_channels=32),
    head=dict(
        type='LinearClsHead',
        num_classes=7,
        in_channels=32,
        loss=dict(type='CrossEntropyLoss')))
test_cfg = dict()
