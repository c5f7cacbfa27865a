# Classes as targets.
_base_ = './votes.py'
train_dataloader = dict(dataset=dict(targets='classes'))
