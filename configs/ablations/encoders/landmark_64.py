# The encoder of the landmark prior on 64x64 pixels.
_base_ = './landmark_112.py'
train_pipeline = [
    dict(t, size=64) if t.type == 'orsa.RandomFaceAffine' else t
    for t in _base_.train_pipeline
]
test_pipeline = [
    dict(t, size=64) if t.type == 'orsa.RandomFaceAffine' else t
    for t in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
