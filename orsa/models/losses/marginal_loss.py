# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import torch
import torch.nn as nn

from orsa.registry import MODELS
from orsa.utils.face_regions import IGNORED, SET_OFFSET


@MODELS.register_module()
class MarginalLoss(nn.Module):
    r"""Cross entropy where a label may stand for several classes.

    From `Marginal loss and exclusion loss for partially supervised
    multi-organ segmentation <https://arxiv.org/abs/2007.03868>`_: one dataset
    tells the nose from the skin, another does not. With the logits
    :math:`z_c` of a pixel and the set :math:`S` of classes that its label
    stands for,

    .. math::
        L = -\log \sum_{c \in S} p_c, \quad p = \mathrm{softmax}(z),

    averaged over the pixels that are not ignored. Where every set has one
    class it is the cross entropy. Sets come from ``orsa.EncodeLabelSets``; any
    decode head of mmseg takes this as ``loss_decode`` (its ``acc_seg`` then
    counts pixels of larger sets as wrong).

    Args:
        class_weight (Sequence[float], optional): Weight of each class; a set
            has the smallest of its classes. The mean is over all pixels, not
            their weights, as in mmseg. Defaults to None, all 1.
        loss_weight (float): Weight of the loss. Defaults to 1.
        loss_name (str): Its name in the log. Defaults to 'loss_marginal'.
    """

    def __init__(self,
                 class_weight: Optional[Sequence[float]] = None,
                 loss_weight: float = 1.0,
                 loss_name: str = 'loss_marginal'):
        super().__init__()
        self.class_weight = class_weight
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self,
                logits: torch.Tensor,
                target: torch.Tensor,
                weight: Optional[torch.Tensor] = None,
                ignore_index: int = IGNORED,
                **kwargs) -> torch.Tensor:
        """Compute the loss.

        Args:
            logits (Tensor): (B, K, H, W).
            target (Tensor): (B, H, W) integers: a class in [0, K), or 256
                plus ``1 << class`` for each class of a set.
            weight (Tensor, optional): Of each pixel, (B, H, W). Defaults to
                None, all 1.
            ignore_index (int): The value of pixels that do not count.
                Defaults to 255.

        Returns:
            Tensor: A scalar; 0 where all pixels are ignored.

        Raises:
            ValueError: If a target has no class in [0, K).
        """
        count = logits.size(1)
        known = target != ignore_index
        # an ignored pixel may be anything: its loss is 0
        target = torch.where(known, target, SET_OFFSET + 2**count - 1)
        bits = torch.where(target >= SET_OFFSET, target - SET_OFFSET,
                           1 << target.clamp(0, 62))
        wrong = (bits <= 0) | (bits >= 2**count) | (target < 0)
        if wrong.any():
            raise ValueError(
                f'MarginalLoss: a target is {target[wrong][0].item()}, '
                f'expected a class in [0, {count}) or {SET_OFFSET} plus some '
                'of their bits')
        bits = bits.int() if count < 31 else bits  # half the memory traffic
        classes = torch.arange(count, dtype=bits.dtype, device=bits.device)
        allowed = (bits[:, None] >> classes.view(1, -1, 1, 1) & 1).bool()
        inside = logits.masked_fill(~allowed, float('-inf'))
        loss = logits.logsumexp(1) - inside.logsumexp(1)
        if self.class_weight is not None:
            weights = logits.new_tensor(self.class_weight).view(1, -1, 1, 1)
            loss = loss * torch.where(allowed, weights, torch.inf).amin(1)
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.sum() / known.sum().clamp(min=1)
