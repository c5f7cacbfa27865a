# Synthetic faces, 112x112; no face is in two splits. A third of the training
# faces are occluded.
dataset_type = 'orsa.SyntheticFaces'

train_pipeline = [
    # drawing is the slowest step: faces are cached
    dict(type='orsa.DrawSyntheticFace', cache=True),
    # illumination, pose and position vary already
    dict(type='orsa.RandomFaceAffine', size=112, prob=0.),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='orsa.DrawSyntheticFace'),
    dict(type='orsa.RandomFaceAffine', size=112, flip_prob=0., prob=0.),
    dict(
        type='PackInputs',
        meta_keys=('name', 'sample_idx', 'ori_shape', 'img_shape')),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='orsa.ClassBalancedSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        num_samples=3500,
        split='train',
        occlude_prob=0.33,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        num_samples=350,
        split='val',
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        num_samples=1050,
        split='test',
        pipeline=test_pipeline))

val_evaluator = dict(type='orsa.FERMetric')
test_evaluator = val_evaluator
