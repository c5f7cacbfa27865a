# Synthetic faces as an mmpose experiment reads its images: 68 landmarks at
# 64x64, and orsa's occluders between mmpose's transforms.
default_scope = 'mmpose'

codec = dict(
    type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1.)
data_preprocessor = dict(
    type='PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)

train_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True),
    # all points labelled as visible
    dict(type='orsa.AsPoseSample'),
    # occluded ones are not, so that the loss ignores them. Reads the points
    # as drawn: goes before all geometric transforms.
    dict(type='orsa.RandomOccluder', prob=0.5),
    # the image is the face crop: no padding
    dict(type='GetBBoxCenterScale', padding=1.),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_factor=30.),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
test_pipeline = [
    dict(type='orsa.DrawSyntheticFace'),
    dict(type='orsa.AsPoseSample'),
    # each test face always gets the same occluder
    dict(type='orsa.OccludeFace', severity=2),
    dict(type='GetBBoxCenterScale', padding=1.),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='orsa.FaceLandmarkDataset',
        faces=dict(
            type='orsa.SyntheticFaces',
            num_samples=3500,
            split='train',
            size=64),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='orsa.FaceLandmarkDataset',
        faces=dict(
            type='orsa.SyntheticFaces', num_samples=350, split='val', size=64),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
# inter-ocular: the outer corners of the eyes; visible points only
val_evaluator = dict(
    type='NME', norm_mode='keypoint_distance', keypoint_indices=[36, 45])
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='PoseLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
