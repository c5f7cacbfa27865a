# RAF-DB as ../_base_/datasets/rafdb_224.py has it, at 112x112, which networks
# of face recognition are made for.
_base_ = '../_base_/datasets/rafdb_224.py'

train_pipeline = [
    dict(t, scale=(112, 112)) if t.type == 'Resize' else t
    for t in _base_.train_pipeline
]
test_pipeline = [
    dict(t, scale=(112, 112)) if t.type == 'Resize' else t
    for t in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
