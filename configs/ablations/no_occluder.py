# The image branch, trained without occluders.
_base_ = './plain.py'
train_dataloader = dict(
    dataset=dict(pipeline=[
        t for t in _base_.train_dataloader.dataset.pipeline
        if t.type != 'orsa.PasteOccluder'
    ]))
