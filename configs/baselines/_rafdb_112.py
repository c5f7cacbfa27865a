# RAF-DB as in ../_base_/datasets/rafdb_224.py, at 112x112, the input size of
# face-recognition networks.
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
