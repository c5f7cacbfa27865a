# RAF-DB at 112x112 for the lite models, with mild geometric and light
# augmentation: small networks trained from nothing overfit without it. RAF-DB
# has no validation split: the test split stands in for it, and the run reports
# best, last and mean of the last epochs beside each other. RAFDB's val_split
# holds out training data instead.
dataset_type = 'orsa.RAFDB'
data_root = '{{$ORSA_RAFDB:data/raf-db/}}'
# the mean colour in BGR, nearly 0 after normalising
fill = [104, 116, 124]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    # up to 15 degrees either way, and up to 6% of the size
    dict(
        type='Rotate',
        magnitude_range=(0., 15.),
        magnitude_level=10,
        magnitude_std='inf',
        pad_val=fill,
        prob=0.7,
        interpolation='bilinear'),
    dict(
        type='Translate',
        magnitude_range=(0., 0.06),
        magnitude_level=10,
        magnitude_std='inf',
        pad_val=fill,
        prob=0.5,
        direction='horizontal',
        interpolation='bilinear'),
    dict(
        type='Translate',
        magnitude_range=(0., 0.06),
        magnitude_level=10,
        magnitude_std='inf',
        pad_val=fill,
        prob=0.5,
        direction='vertical',
        interpolation='bilinear'),
    # an aligned face fills the image: 80% of its area still hold it
    dict(
        type='RandomResizedCrop',
        scale=112,
        crop_ratio_range=(0.8, 1.0),
        aspect_ratio_range=(0.9, 1.1),
        backend='pillow'),
    dict(
        type='ColorJitter',
        brightness=0.3,
        contrast=0.3,
        saturation=0.2,
        backend='cv2'),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.1,
        mode='const',
        fill_color=fill),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(112, 112), backend='pillow'),
    dict(
        type='PackInputs',
        meta_keys=('name', 'sample_idx', 'img_path', 'ori_shape',
                   'img_shape')),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='orsa.ClassBalancedSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='orsa.FERMetric')
test_evaluator = val_evaluator
