# The landmark model at 112x112: 68 points of annotators (HELEN, AFW), of a
# face-mesh model ($ORSA_RAFDB with its points) and of synthetic faces, with
# occluders pasted on. An occluded point stays labelled, and is one that cannot
# be seen.
_base_ = ['../_base_/models/face_landmark.py', './_runtime.py']

default_scope = 'mmpose'

model = {{_base_.face_landmark}}

max_epochs = 40
train_cfg = dict(
    type='orsa.EpochTrainLoop', max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        eta_min=1e-5,
        convert_to_iter_based=True),
]
codec = {{_base_.face_landmark_codec}}

# what aligned images and detectors show, and around it
affine = dict(
    type='orsa.RandomFaceAffine',
    size=112,
    region='landmarks',
    rotate=30.,
    scale_range=(0.75, 1.2),
    shift=0.12,
    prob=1.)
augment = [
    dict(type='orsa.AsPoseSample', occluded=0.5),
    dict(type='mmseg.PhotoMetricDistortion', hue_delta=8),
    # small faces too, made larger
    dict(
        type='mmpretrain.GaussianBlur',
        magnitude_range=(0.2, 2.),
        magnitude_std='inf',
        prob=0.3),
    dict(type='mmcv.RandomGrayscale', prob=0.2, keep_channels=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
load = dict(type='LoadImageFromFile')
occlude = dict(type='orsa.RandomOccluder', prob=0.5)
real_pipeline = [load, affine, occlude, *augment]
drawn_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True), affine, *augment
]
crop = dict(
    type='orsa.RandomFaceAffine',
    size=112,
    region='landmarks',
    flip_prob=0.,
    prob=0.)
pack = [
    dict(type='orsa.AsPoseSample'),
    dict(type='GetBBoxCenterScale', padding=1.0),
    dict(type='TopdownAffine', input_size=(112, 112)),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale', 'flip',
                   'flip_direction', 'flip_indices', 'dataset_name')),
]
test_pipeline = [load, crop, *pack]
# at a size at which painting an occluder costs little
occluded_pipeline = [
    load, crop, dict(type='orsa.OccludeFace', severity=3), *pack
]

data_root_300w = '{{$ORSA_300W:data/300w/}}'
annotated = dict(
    type='orsa.Face300WDataset',
    data_root=data_root_300w,
    folders=['afw', 'helen/trainset'],
    val_every=10)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(
        type='orsa.MultiSourceSampler',
        shares=[0.7, 0.15, 0.15],
        num_samples=4800),
    dataset=dict(
        type='mmengine.ConcatDataset',
        datasets=[
            dict(pipeline=real_pipeline, **annotated),
            dict(
                type='orsa.FaceLandmarkDataset',
                faces={{_base_.real_train}},
                pipeline=real_pipeline),
            dict(
                type='orsa.FaceLandmarkDataset',
                faces={{_base_.drawn_train}},
                pipeline=drawn_pipeline),
        ]))


def both(faces, name):
    """The faces as they are, and with an occluder."""
    return dict(
        batch_size=32,
        num_workers=1,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mmengine.ConcatDataset',
            ignore_keys=['dataset_name'],
            datasets=[
                dict(
                    test_mode=True,
                    metainfo=dict(dataset_name=name + suffix),
                    pipeline=pipeline,
                    **faces)
                for suffix, pipeline in (('', test_pipeline),
                                         (' occluded', occluded_pipeline))
            ]))


val_dataloader = both(dict(split='val', **annotated), '300-W')
test_dataloader = both(
    dict(
        type='orsa.Face300WDataset',
        data_root=data_root_300w,
        folders=['helen/testset']), 'HELEN test')
# inter-ocular: the outer corners of the eyes
val_evaluator = dict(
    type='orsa.PerDatasetMetric',
    metric=dict(
        type='mmpose.NME',
        norm_mode='keypoint_distance',
        keypoint_indices=[36, 45]))
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='PoseLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
