# The lite face parser: 11 LaPa classes at 112x112, trained by mmseg on the
# real faces of $ORSA_RAFDB (with their masks) and on drawn ones, with
# occluders pasted on, so that it learns what is visible.
_base_ = ['../_base_/models/lite_parsing.py', './_runtime.py']

default_scope = 'mmseg'

model = {{_base_.lite_parsing}}

augment = [
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=((2, 3), (4, 5))),
    dict(type='RandomRotate', prob=0.7, degree=25, seg_pad_val=0),
    dict(
        type='RandomResize',
        scale=(112, 112),
        ratio_range=(1.0, 1.3),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(112, 112)),
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
    dict(type='Resize', scale=(112, 112), keep_ratio=False),
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
