# Synthetic faces as an mmseg experiment reads its images: the 11 classes of
# LaPa at 64x64, where occluded pixels are background.
default_scope = 'mmseg'

data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(64, 64))

train_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True),
    dict(type='orsa.AsSegSample'),
    # a flip has to swap left and right brow and eye
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=((2, 3), (4, 5))),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='orsa.DrawSyntheticFace'),
    dict(type='orsa.AsSegSample'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='orsa.FaceParsingDataset',
        faces=dict(
            type='orsa.SyntheticFaces',
            num_samples=3500,
            split='train',
            size=64,
            occlude_prob=0.33),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='orsa.FaceParsingDataset',
        faces=dict(
            type='orsa.SyntheticFaces',
            num_samples=350,
            split='val',
            size=64,
            occlude_prob=0.33),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])

# mmseg's schedules are by iteration
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000))
