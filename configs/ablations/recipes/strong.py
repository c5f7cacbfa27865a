# More kinds of occluders, and faces as predictions align them: the
# augmentation of the model that ships.
_base_ = './votes.py'
occlude = dict(type='orsa.RandomOccluder', prob=0.4)
affine = dict(rotate=20., scale_range=(0.75, 1.2), shift=0.08)
train_pipeline = [
    occlude if t.type == 'orsa.PasteOccluder' else
    dict(t, **affine) if t.type == 'orsa.RandomFaceAffine' else t
    for t in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
