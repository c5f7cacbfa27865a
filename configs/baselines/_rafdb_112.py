# RAF-DB as ../_base_/datasets/rafdb_224.py has it, at 112x112, which networks
# of face recognition are made for.
_base_ = '../_base_/datasets/rafdb_224.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale=(112, 112), backend='pillow'),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.1,
        mode='const',
        fill_color=[104, 116, 124]),
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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
