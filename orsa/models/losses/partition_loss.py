# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn

from orsa.registry import MODELS


@MODELS.register_module()
class PartitionLoss(nn.Module):
    r"""Make attention heads differ from each other.

    From `Distract Your Attention <https://arxiv.org/abs/2109.07270>`_ (DAN),
    the loss of its attention fusion network. With the outputs :math:`v` of k
    heads for N samples and D channels,

    .. math::
        L = \log\Bigl(1 + \frac{k}{\sigma^2}\Bigr), \quad
        \sigma^2 = \frac{1}{ND} \sum_{i,d} \mathrm{Var}_j(v_{ijd}),

    the variance over the heads j being the unbiased one. The logarithm is
    taken of the mean variance, as in the authors' code: that of one channel
    would be infinite where the heads agree exactly.

    Args:
        loss_weight (float): Weight of the loss.
        eps (float): The smallest variance.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-12):
        super().__init__()
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            heads (Tensor): Outputs of the heads, (N, k, D), k at least 2.

        Returns:
            Tensor: A scalar, in float32 where the heads are in less.

        Raises:
            ValueError: If the shape is another.
        """
        if heads.ndim != 3 or heads.size(1) < 2:
            raise ValueError('PartitionLoss needs outputs of at least two '
                             f'heads, (N, k, D), but got {tuple(heads.shape)}')
        heads = heads.to(torch.promote_types(heads.dtype, torch.float32))
        variance = heads.var(dim=1).mean().clamp(min=self.eps)
        return self.loss_weight * torch.log1p(heads.size(1) / variance)
