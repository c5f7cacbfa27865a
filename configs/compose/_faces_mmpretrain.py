# Synthetic faces as an mmpretrain experiment reads its images, seven
# expressions at 112x112; a third of the training faces are occluded.
# RAF-DB instead is `orsa.RAFDB` with its data_root, and LoadImageFromFile.
default_scope = 'mmpretrain'

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
    num_classes=7)

train_pipeline = [
    dict(type='orsa.DrawSyntheticFace', cache=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='orsa.DrawSyntheticFace'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='orsa.SyntheticFaces',
        num_samples=3500,
        split='train',
        occlude_prob=0.33,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='orsa.SyntheticFaces',
        num_samples=350,
        split='val',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy')
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
