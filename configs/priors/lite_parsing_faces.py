# The lite face parser: 11 LaPa classes at 64x64, trained by mmseg on the
# real faces of $ORSA_RAFDB (with their masks) and on synthetic ones, with
# occluders pasted on, so that it segments the visible face.
_base_ = ['../_base_/models/lite_parsing.py', './_runtime.py']

default_scope = 'mmseg'

model = {{_base_.lite_parsing}}

max_epochs = 8
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

# warps image and mask once, which is also the resize
affine = dict(
    type='orsa.RandomFaceAffine',
    size=64,
    rotate=25.,
    scale_range=(0.85, 1.25),
    shift=0.08)
augment = [
    affine,
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
real_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='orsa.PasteOccluder', prob=0.4),
    dict(type='orsa.AsSegSample'),
    *augment,
]
drawn_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True),
    # the masks of the real faces have no hair
    dict(type='orsa.AsSegSample', merge={10: 0}),
    *augment,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
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
                type='orsa.FaceParsingDataset',
                faces={{_base_.real_train}},
                pipeline=real_pipeline),
            dict(
                type='orsa.FaceParsingDataset',
                faces={{_base_.drawn_train}},
                pipeline=drawn_pipeline),
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='orsa.FaceParsingDataset',
        faces={{_base_.real_test}},
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
