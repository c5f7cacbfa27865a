# RAF-DB at 112x112, augmented as in rafdb_64.py.
_base_ = './rafdb_64.py'

train_pipeline = [
    dict(t, size=112) if t.type == 'orsa.RandomFaceAffine' else t
    for t in _base_.train_pipeline
]
test_pipeline = [
    dict(t, size=112) if t.type == 'orsa.RandomFaceAffine' else t
    for t in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
