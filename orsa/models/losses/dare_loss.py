# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.models.losses.utils import weight_reduce_loss

from orsa.registry import MODELS


@MODELS.register_module()
class DARELoss(nn.Module):
    r"""Dynamic Adversarial Repulsion Enhancement loss.

    From `Rethinking Occlusion in FER: A Semantic-Aware Perspective and Go
    Beyond <https://arxiv.org/abs/2507.15401>`_. It pushes the target's logit
    away from its hardest rival by a margin that grows with doubt. With
    logits :math:`z`, target :math:`t`, the rival
    :math:`h = \arg\max_{c \ne t} z_c` (the first on ties) and
    :math:`p = \mathrm{softmax}(z)` taken as a constant,

    .. math::
        L = \log\bigl(1 + \exp(z_h - z_t + T (1 - p_t))\bigr).

    Gradients reach :math:`z_t` and :math:`z_h` only.

    Args:
        temperature (float): :math:`T`, the largest margin.
        reduction (str): 'none', 'mean' or 'sum'.
        loss_weight (float): Weight of the loss.
        ignore_index (int): Target of samples that do not count, neither in the
            sum nor in the mean.
    """

    # heads give it ``gt_label`` beside soft targets
    needs_index = True

    def __init__(self,
                 temperature: float = 1.0,
                 reduction: str = 'mean',
                 loss_weight: float = 1.0,
                 ignore_index: int = -100):
        super().__init__()
        self.temperature = temperature
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index

    def forward(self,
                cls_score: torch.Tensor,
                label: torch.Tensor,
                weight: Optional[torch.Tensor] = None,
                avg_factor: Optional[int] = None,
                reduction_override: Optional[str] = None,
                gt_label: Optional[torch.Tensor] = None,
                **kwargs) -> torch.Tensor:
        """Compute the loss.

        Args:
            cls_score (Tensor): Logits of shape (N, C), C at least 2.
            label (Tensor): Class indices of shape (N,), integers.
            weight (Tensor, optional): Weight per sample, of shape (N,).
            avg_factor (int, optional): What the sum is divided by; with
                ignored samples it is taken as it is given.
            reduction_override (str, optional): In place of ``reduction``.
            gt_label (Tensor, optional): The class indices where ``label``
                holds soft targets for other losses.

        Returns:
            Tensor: A scalar, or (N,) without reduction.

        Raises:
            ValueError: If the labels are no class indices.
        """
        label = label if gt_label is None else gt_label
        if cls_score.ndim != 2 or cls_score.size(1) < 2:
            raise ValueError('DARELoss needs logits of shape (N, C) with at '
                             f'least two classes, but got '
                             f'{tuple(cls_score.shape)}')
        if label.ndim != 1 or label.is_floating_point():
            raise ValueError(
                'DARELoss needs class indices of shape (N,), but got '
                f'{label.dtype} of shape {tuple(label.shape)}. Soft targets '
                '(label smoothing, Mixup, CutMix) have no single rival: use '
                'them with another loss')
        kept = label != self.ignore_index
        target = torch.where(kept, label, 0)[:, None]

        # Beside a runner-up there is nothing to look at: the two logits are
        # gathered, so that gradients reach them and no other.
        own = F.one_hot(target[:, 0], cls_score.size(1)).bool()
        rival = cls_score.detach().masked_fill(own, float('-inf'))
        rival = rival.argmax(dim=1, keepdim=True)
        z_t = cls_score.gather(1, target)[:, 0]
        z_h = cls_score.gather(1, rival)[:, 0]
        p_t = cls_score.detach().softmax(dim=1).gather(1, target)[:, 0]
        loss = F.softplus(z_h - z_t + self.temperature * (1 - p_t))
        loss = torch.where(kept, loss, 0.)

        reduction = reduction_override or self.reduction
        if weight is not None:
            weight = weight.float()
        if reduction == 'mean' and avg_factor is None:
            # none left: the sum over nothing, 0, not 0/0
            avg_factor = kept.sum().clamp(min=1)
        if reduction != 'mean':
            avg_factor = None
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction,
                                                     avg_factor)
