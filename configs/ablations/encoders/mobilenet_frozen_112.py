# MobileNet whose first three stages, down to a stride of 8, stay as they are.
_base_ = './mobilenet_112.py'
model = dict(backbone=dict(frozen_stages=2))
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs)
