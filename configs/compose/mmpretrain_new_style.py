# mmpretrain_resnet50_dare_head.py in MMEngine's new style: a type is a class,
# which an editor finds, and a base is imported. A base may have types by name,
# but no `_base_` of its own.
from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR
from mmpretrain.models import (CrossEntropyLoss, GlobalAveragePooling,
                               ImageClassifier, ResNet)
from torch.optim import SGD

from orsa.models import CompositeLoss, DAREHead, DARELoss

with read_base():
    from ._faces_mmpretrain import *  # noqa: F401,F403

model = dict(
    type=ImageClassifier,
    backbone=dict(type=ResNet, depth=50, style='pytorch'),
    neck=dict(type=GlobalAveragePooling),
    head=dict(
        type=DAREHead,
        num_classes=7,
        in_channels=2048,
        loss=dict(
            type=CompositeLoss,
            losses=dict(
                loss_ce=dict(type=CrossEntropyLoss),
                loss_dare=dict(type=DARELoss, loss_weight=0.1)))))

optim_wrapper = dict(
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type=CosineAnnealingLR, T_max=20, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
