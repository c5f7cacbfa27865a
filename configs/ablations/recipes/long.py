# Twice as long.
_base_ = './votes.py'
max_epochs = 6
train_cfg = dict(max_epochs=max_epochs)
