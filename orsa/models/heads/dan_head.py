# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample

from orsa.models.utils.inputs import Maps
from orsa.registry import MODELS
from .dare_head import class_indices


def _conv_norm(in_channels: int, out_channels: int,
               kernel_size: Tuple[int, int]) -> nn.Sequential:
    """A convolution that keeps the size of the map, and BN."""
    padding = tuple(k // 2 for k in kernel_size)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding),
        nn.BatchNorm2d(out_channels))


class _SpatialAttention(BaseModule):
    """Weigh the places of a map: 1x1, then 3x3, 1x3 and 3x1 side by side."""

    def __init__(self, channels: int, mid_channels: int):
        super().__init__()
        self.reduce = _conv_norm(channels, mid_channels, (1, 1))
        self.branches = ModuleList(
            _conv_norm(mid_channels, channels, size)
            for size in ((3, 3), (1, 3), (3, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mid = self.reduce(x)
        weight = torch.relu(sum(branch(mid) for branch in self.branches))
        # a sum over hundreds of channels is coarse in half precision
        dtype = torch.promote_types(weight.dtype, torch.float32)
        weight = weight.sum(dim=1, keepdim=True, dtype=dtype)  # (N, 1, h, w)
        return x * weight


class _ChannelAttention(BaseModule):
    """Average a map over its places and weigh the channels."""

    def __init__(self, channels: int, mid_channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, mid_channels), nn.BatchNorm1d(mid_channels),
            nn.ReLU(inplace=True), nn.Linear(mid_channels, channels),
            nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.mean(dim=(2, 3))  # (N, D)
        return x * self.gate(x)


class _CrossAttentionHead(BaseModule):
    """One head of DAN: spatial attention, then channel attention."""

    def __init__(self, channels: int, spatial_channels: int,
                 gate_channels: int):
        super().__init__(init_cfg=[
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer='_BatchNorm', val=1.),
            # gates that begin half open
            dict(type='Normal', layer='Linear', std=0.001)
        ])
        self.spatial = _SpatialAttention(channels, spatial_channels)
        self.channel = _ChannelAttention(channels, gate_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.channel(self.spatial(x))


@MODELS.register_module()
class DANHead(ClsHead):
    r"""Heads of cross attention, pushed apart, fused and classified.

    All that `Distract Your Attention: Multi-head Cross Attention Network for
    Facial Expression Recognition <https://arxiv.org/abs/2109.07270>`_ (DAN)
    puts behind its backbone, for any backbone whose last output is a map.
    Symbols: N samples, D channels, k heads, C classes.

    - Feature clustering network: the affinity loss
      (:class:`orsa.AffinityLoss`) on the averaged map.
    - Multi-head attention network: each head weighs places, then channels,
      and gives a vector :math:`v_j` of D channels.
    - Attention fusion network: of :math:`v'_j = v_j - \log \sum_i \exp v_i`
      the partition loss (:class:`orsa.PartitionLoss`) wants difference, and
      the sum is classified by a linear layer with BN on the logits.

    The total is :math:`L_{ce} + \lambda_1 L_{affinity} + \lambda_2
    L_{partition}`, both weights being 1 in the paper; each term is logged.
    The terms are computed in float32 under AMP. Batch normalisation of
    vectors needs two samples of a batch in training.

    Args:
        num_classes (int): C.
        in_channels (int): D, the channels of the backbone's last map.
        num_heads (int): k. With one head there is neither fusion nor
            partition loss.
        spatial_reduction (int): By how much the 1x1 convolution of the
            spatial attention divides D.
        channel_reduction (int): By how much the hidden layer of the channel
            attention divides D.
        loss (dict): Config of the loss on the logits, logged as 'loss_ce';
            the terms of one that returns a dict keep their names.
        affinity_loss (dict, optional): Config of the loss on the averaged
            map, given ``num_classes`` and ``feat_channels``; None for none.
        partition_loss (dict, optional): Config of the loss on the heads, None
            for none.
        topk (int | tuple[int]): See mmpretrain's ``ClsHead``.
        cal_acc (bool): See mmpretrain's ``ClsHead``.
        init_cfg (dict, optional): Initialisation of all but the attention
            heads, which have their own.

    Raises:
        ValueError: If a number is not positive, or a reduction leaves no
            channel.
    """

    def __init__(
            self,
            num_classes: int,
            in_channels: int,
            num_heads: int = 4,
            spatial_reduction: int = 2,
            channel_reduction: int = 16,
            loss: dict = dict(type='mmpretrain.CrossEntropyLoss'),
            affinity_loss: Optional[dict] = dict(type='orsa.AffinityLoss'),
            partition_loss: Optional[dict] = dict(type='orsa.PartitionLoss'),
            topk: Union[int, Tuple[int]] = (1, ),
            cal_acc: bool = False,
            init_cfg: Optional[dict] = None):
        super().__init__(
            loss=loss, topk=topk, cal_acc=cal_acc, init_cfg=init_cfg)
        if min(num_classes, num_heads, spatial_reduction,
               channel_reduction) < 1:
            raise ValueError(
                f'num_classes={num_classes}, num_heads={num_heads}, '
                f'spatial_reduction={spatial_reduction} and channel_reduction='
                f'{channel_reduction} should be positive')
        if in_channels < max(spatial_reduction, channel_reduction):
            raise ValueError(
                f'in_channels={in_channels} divided by spatial_reduction='
                f'{spatial_reduction} or channel_reduction='
                f'{channel_reduction} leaves no channel: reduce by less')
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.num_heads = num_heads
        self.heads = ModuleList(
            _CrossAttentionHead(in_channels, in_channels //
                                spatial_reduction, in_channels //
                                channel_reduction) for _ in range(num_heads))
        self.fc = nn.Linear(in_channels, num_classes)
        self.norm = nn.BatchNorm1d(num_classes)

        sizes = dict(num_classes=num_classes, feat_channels=in_channels)
        self.affinity_loss = MODELS.build(dict(
            affinity_loss, **sizes)) if affinity_loss else None
        self.partition_loss = MODELS.build(
            partition_loss) if partition_loss and num_heads > 1 else None

    def _last_map(self, feats: Maps) -> torch.Tensor:
        x = feats[-1]
        if x.ndim != 4 or x.size(1) != self.in_channels:
            raise ValueError(
                f'DANHead expects a map (N, {self.in_channels}, h, w), but '
                f'the last of its inputs has shape {tuple(x.shape)}. It '
                'averages by itself: a neck that pools is to be left out')
        if self.training and x.size(0) < 2:
            raise ValueError(
                'DANHead normalises vectors over the batch and cannot be '
                'trained with a batch of 1 sample. Where the last batch of '
                'an epoch is that small, set train_dataloader.drop_last=True')
        return x

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of the heads for a map (N, D, h, w), related to each
        other: (N, k, D), whose ``exp`` sums to 1 over several heads.
        """
        heads = torch.stack([head(x) for head in self.heads], dim=1)
        return heads if self.num_heads == 1 else F.log_softmax(heads, dim=1)

    def classify(self, fused: torch.Tensor) -> torch.Tensor:
        """The logits (N, C) of a fused feature (N, D)."""
        return self.norm(self.fc(fused))

    def pre_logits(self, feats: Maps) -> torch.Tensor:
        """The fused feature, (N, D), before the classifier."""
        return self.attend(self._last_map(feats)).sum(dim=1)

    def forward(self, feats: Maps) -> torch.Tensor:
        """The logits, (N, C)."""
        return self.classify(self.pre_logits(feats))

    def loss(self, feats: Maps, data_samples: List[DataSample],
             **kwargs) -> dict:
        """The terms of the loss by name.

        Args:
            feats (tuple[Tensor]): Outputs of the backbone, the last one a
                map (N, D, h, w).
            data_samples (list[DataSample]): The labels of N samples.
            **kwargs: Passed to the loss on the logits.

        Returns:
            dict[str, Tensor]: 'loss_ce', 'loss_affinity', 'loss_partition',
            those that exist, and accuracies with ``cal_acc``.
        """
        x = self._last_map(feats)
        heads = self.attend(x)
        losses = self._get_loss(
            self.classify(heads.sum(dim=1)), data_samples, **kwargs)
        term = losses.pop('loss')
        losses.update(term if isinstance(term, dict) else dict(loss_ce=term))
        if self.affinity_loss is not None:
            losses['loss_affinity'] = self.affinity_loss(
                x.mean(dim=(2, 3)), self._labels(data_samples))
        if self.partition_loss is not None:
            losses['loss_partition'] = self.partition_loss(heads)
        return losses

    @staticmethod
    def _labels(data_samples: List[DataSample]) -> torch.Tensor:
        if 'gt_score' in data_samples[0]:
            return class_indices(data_samples)
        return torch.cat([i.gt_label for i in data_samples])
