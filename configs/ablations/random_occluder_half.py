# The same on half of the faces.
_base_ = './plain.py'
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='orsa.RandomOccluder', prob=0.5) if t.type ==
        'orsa.PasteOccluder' else t
        for t in _base_.train_dataloader.dataset.pipeline
    ]))
