# RAF-DB at 64x64 for the lite models, with mild geometric and
# photometric augmentation, and an occluder in front of three faces in ten.
# RAF-DB has no validation split: the test split serves as one, and the run
# reports best, last and mean of the last epochs beside each other. RAFDB's
# val_split holds out training data instead.
dataset_type = 'orsa.RAFDB'
data_root = '{{$ORSA_RAFDB:data/raf-db/}}'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    # by the landmarks, where the data have them
    dict(type='orsa.PasteOccluder', prob=0.3),
    # up to 15 degrees, and 6% of the size, either way
    dict(
        type='orsa.RandomFaceAffine',
        size=64,
        rotate=15.,
        scale_range=(0.9, 1.15),
        shift=0.06),
    dict(
        type='ColorJitter',
        brightness=0.3,
        contrast=0.3,
        saturation=0.25,
        backend='cv2'),
    dict(type='RandomGrayscale', prob=0.1, keep_channels=True),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # a plain resize
    dict(type='orsa.RandomFaceAffine', size=64, flip_prob=0., prob=0.),
    dict(
        type='PackInputs',
        meta_keys=('name', 'sample_idx', 'img_path', 'ori_shape',
                   'img_shape')),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    # half way between the frequencies of the data and equal ones
    sampler=dict(type='orsa.ClassBalancedSampler', power=0.5),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        with_annotations=True,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
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
