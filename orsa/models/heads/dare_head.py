# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Tuple, Union

import torch
import torch.nn as nn
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample

from orsa.models.utils.inputs import Maps
from orsa.registry import MODELS


def class_indices(data_samples: List[DataSample]) -> torch.Tensor:
    """The class indices (N,) of samples that have soft targets too.

    Raises:
        ValueError: If there are no indices, or they are not what is largest
            in the soft targets, which Mixup and CutMix have mixed then.
    """
    score = torch.stack([i.gt_score for i in data_samples])
    mixed = len(score)
    if all('gt_label' in i for i in data_samples):
        label = torch.cat([i.gt_label for i in data_samples])
        own = score.gather(1, label[:, None])[:, 0]
        mixed = int((own < score.amax(1)).sum())
    if mixed:
        raise ValueError(
            f'Soft targets of shape {tuple(score.shape)} without the class '
            f'index that a loss or cal_acc needs: in {mixed} samples gt_label '
            'is missing, or not what is largest in gt_score. Leave such '
            'losses (DARELoss, AffinityLoss) and cal_acc out with label '
            'smoothing, Mixup or CutMix')
    return label


@MODELS.register_module()
class DAREHead(ClsHead):
    """A gated linear classifier whose losses are logged term by term.

    The head of `Rethinking Occlusion in FER: A Semantic-Aware Perspective and
    Go Beyond <https://arxiv.org/abs/2507.15401>`_: the feature is weighted by
    a gate of two linear layers, then classified. ``loss_module`` is where
    mmpretrain's ``SwitchRecipeHook`` puts another loss, the dynamic one after
    the warm-up.

    Args:
        num_classes (int): Number of classes C.
        in_channels (int): Width D of the feature.
        gate (bool): Whether to gate the feature.
        loss (dict): Config of the loss; one that returns a dict of terms
            (:class:`orsa.CompositeLoss`) has each logged under its name.
            Defaults to cross-entropy.
        topk (int | tuple[int]): See mmpretrain's ``ClsHead``.
        cal_acc (bool): See mmpretrain's ``ClsHead``.
        init_cfg (dict, optional): Defaults to a normal initialisation of the
            classifier, as mmpretrain's ``LinearClsHead``.

    Raises:
        ValueError: If ``num_classes`` is not positive.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 gate: bool = True,
                 loss: dict = dict(type='mmpretrain.CrossEntropyLoss'),
                 topk: Union[int, Tuple[int]] = (1, ),
                 cal_acc: bool = False,
                 init_cfg: Optional[dict] = None):
        super().__init__(
            loss=loss, topk=topk, cal_acc=cal_acc, init_cfg=init_cfg)
        if num_classes <= 0:
            raise ValueError(f'num_classes={num_classes} should be positive')
        self.num_classes = num_classes
        self.in_channels = in_channels
        for module in self.loss_module.modules():
            # A loss without a number takes the head's, so that a config
            # states it once.
            if getattr(module, 'num_classes', num_classes) is None:
                module.num_classes = num_classes
        self.gate = nn.Sequential(
            nn.Linear(in_channels, in_channels), nn.ReLU(),
            nn.Linear(in_channels, in_channels),
            nn.Sigmoid()) if gate else None
        self.fc = nn.Linear(in_channels, num_classes)

    def pre_logits(self, feats: Maps) -> torch.Tensor:
        """The gated feature, (N, D), before the classifier.

        A map (N, D, h, w) in place of a vector is averaged, so that the head
        can follow any backbone.
        """
        x = feats[-1]
        if x.ndim == 4:
            x = x.mean(dim=(2, 3))
        if x.ndim != 2 or x.size(1) != self.in_channels:
            raise ValueError(
                f'DAREHead expects a feature of {self.in_channels} channels, '
                f'but the last of its inputs has shape {tuple(x.shape)}')
        return x if self.gate is None else x * self.gate(x)

    def forward(self, feats: Maps) -> torch.Tensor:
        """The logits, (N, C)."""
        return self.fc(self.pre_logits(feats))

    def _get_loss(self, cls_score: torch.Tensor,
                  data_samples: List[DataSample], **kwargs) -> dict:
        """As ``ClsHead``, with the terms of a composite loss passed on.

        Soft targets go to the losses that take them, the class indices to
        the others.
        """
        if 'gt_score' in data_samples[0]:
            target = torch.stack([i.gt_score for i in data_samples])
        else:
            target = torch.cat([i.gt_label for i in data_samples])
        label = target
        needs_index = getattr(self.loss_module, 'needs_index', False)
        if target.ndim > 1 and (needs_index or self.cal_acc):
            label = class_indices(data_samples)
            if needs_index:
                kwargs['gt_label'] = label
        loss = self.loss_module(
            cls_score, target, avg_factor=cls_score.size(0), **kwargs)
        losses = dict(loss) if isinstance(loss, dict) else dict(loss=loss)
        if self.cal_acc:
            accuracy = Accuracy.calculate(cls_score, label, topk=self.topk)
            for k, value in zip(self.topk, accuracy):
                losses[f'accuracy_top-{k}'] = value
        return losses
