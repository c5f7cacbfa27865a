# Copyright (c) orsa contributors. All rights reserved.
from typing import Dict, Optional

import torch
import torch.nn as nn

from orsa.registry import MODELS


@MODELS.register_module()
class CompositeLoss(nn.Module):
    """Several losses on the same logits, each under its own name.

    MMEngine sums what is named ``*loss*`` and logs every term;
    :class:`orsa.DAREHead` passes the terms on. Weights are the losses' own
    ``loss_weight``.

    Args:
        losses (dict[str, dict]): Configs of losses by name; every name
            contains 'loss', or MMEngine would log the term and not train
            with it.

    Examples:
        >>> loss = CompositeLoss(
        ...     losses=dict(
        ...         loss_ce=dict(type='mmpretrain.CrossEntropyLoss'),
        ...         loss_dare=dict(type='orsa.DARELoss', loss_weight=0.1)))
        >>> sorted(loss(torch.zeros(1, 7), torch.tensor([3])))
        ['loss_ce', 'loss_dare']
    """

    def __init__(self, losses: Dict[str, dict]):
        super().__init__()
        wrong = [n for n in losses if 'loss' not in n or n == 'loss']
        if wrong or not losses:
            raise ValueError(
                "names of losses should contain 'loss' (MMEngine sums no "
                "other) and not be 'loss' itself (the name of the sum), but "
                f'got {list(losses)}')
        # `losses.loss_ce` in a config, `loss_ce` in logs
        self.losses = nn.ModuleDict({
            name: MODELS.build(loss)
            for name, loss in losses.items()
        })

    @property
    def needs_index(self) -> bool:
        """Whether one of the losses takes class indices alone."""
        return any(
            getattr(loss, 'needs_index', False)
            for loss in self.losses.values())

    def forward(self,
                cls_score: torch.Tensor,
                label: torch.Tensor,
                gt_label: Optional[torch.Tensor] = None,
                **kwargs) -> Dict[str, torch.Tensor]:
        """Compute every term.

        Args:
            cls_score (Tensor): Logits of shape (N, C).
            label (Tensor): Class indices (N,) or soft targets (N, C).
            gt_label (Tensor, optional): Class indices (N,) beside soft
                targets, for the losses that take nothing else
                (:class:`orsa.DARELoss`).
            **kwargs: Passed to every loss (``avg_factor`` above all).

        Returns:
            dict[str, Tensor]: The terms by name, weighted.
        """
        index = {} if gt_label is None else dict(gt_label=gt_label)
        return {
            name:
            loss(cls_score, label,
                 **(index if getattr(loss, 'needs_index', False) else {}),
                 **kwargs)
            for name, loss in self.losses.items()
        }
