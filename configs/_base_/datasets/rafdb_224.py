# RAF-DB at 224x224 with the published augmentation. RAF-DB has no validation
# split: the test split serves as one, and the run reports best, last and
# mean of the last epochs beside each other. RAFDB's val_split holds out
# training data instead.
dataset_type = 'orsa.RAFDB'
data_root = '{{$ORSA_RAFDB:data/raf-db/}}'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    # PIL's bilinear, antialiased, as the reference resizes
    dict(type='Resize', scale=(224, 224), backend='pillow'),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.1,
        mode='const',
        # nearly 0 after normalising, in BGR
        fill_color=[104, 116, 124]),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224), backend='pillow'),
    dict(
        type='PackInputs',
        meta_keys=('name', 'sample_idx', 'img_path', 'ori_shape',
                   'img_shape')),
]

train_dataloader = dict(
    batch_size=20,
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
    batch_size=20,
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
