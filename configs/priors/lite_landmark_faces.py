# The lite landmark model: 68 points at 64x64, trained by mmpose on the real
# faces of $ORSA_RAFDB (with their points) and on synthetic ones, with
# occluders pasted on: occluded points stay labelled, so that the model learns
# to predict them.
_base_ = ['../_base_/models/lite_landmark.py', './_runtime.py']

default_scope = 'mmpose'

model = {{_base_.lite_landmark}}

max_epochs = 16
train_cfg = dict(
    type='orsa.EpochTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-5,
        convert_to_iter_based=True),
]
codec = {{_base_.lite_codec}}

# warps image and points once, which is also the resize
affine = dict(
    type='orsa.RandomFaceAffine',
    size=64,
    rotate=30.,
    scale_range=(0.85, 1.25),
    shift=0.08)
augment = [
    dict(type='orsa.AsPoseSample'),
    dict(type='PhotometricDistortion'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
real_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='orsa.PasteOccluder', prob=0.4),
    affine,
    *augment,
]
drawn_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True),
    affine,
    *augment,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='orsa.AsPoseSample'),
    # the image is the face crop: no padding
    dict(type='GetBBoxCenterScale', padding=1.0),
    dict(type='TopdownAffine', input_size=(64, 64)),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmengine.ConcatDataset',
        datasets=[
            dict(
                type='orsa.FaceLandmarkDataset',
                faces={{_base_.real_train}},
                pipeline=real_pipeline),
            dict(
                type='orsa.FaceLandmarkDataset',
                faces={{_base_.drawn_train}},
                pipeline=drawn_pipeline),
        ]))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='orsa.FaceLandmarkDataset',
        faces={{_base_.real_test}},
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
# inter-ocular: the outer corners of the eyes
val_evaluator = dict(
    type='NME', norm_mode='keypoint_distance', keypoint_indices=[36, 45])
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='PoseLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
