# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn
import torch.nn.functional as F

from orsa.registry import MODELS


@MODELS.register_module()
class AffinityLoss(nn.Module):
    r"""Pull features to the centre of their class, and centres apart.

    From `Distract Your Attention <https://arxiv.org/abs/2109.07270>`_ (DAN),
    the loss of its feature clustering network. With features :math:`x_i` of
    class :math:`y_i` and a centre :math:`c_k` for each of K classes,

    .. math::
        L = \frac{1}{N} \sum_{i=1}^{N}
            \frac{\lVert x_i - c_{y_i} \rVert^2}{\sigma_c^2},
        \quad
        \sigma_c^2 = \sum_{d=1}^{D} \mathrm{Var}_k(c_{kd}),

    the variance over the classes being the unbiased one. The centres are
    parameters, drawn from N(0, 1), and trained as any other; all of them
    get a gradient from every batch.

    Args:
        num_classes (int): K, at least 2.
        feat_channels (int): Width D of the features.
        loss_weight (float): Weight of the loss.

    Raises:
        ValueError: If there are fewer than two classes.
    """

    def __init__(self,
                 num_classes: int,
                 feat_channels: int,
                 loss_weight: float = 1.0):
        super().__init__()
        if num_classes < 2:
            raise ValueError('AffinityLoss needs at least two classes, one '
                             'centre has no variance, but got '
                             f'num_classes={num_classes}')
        self.loss_weight = loss_weight
        self.centers = nn.Parameter(torch.randn(num_classes, feat_channels))

    def forward(self, feature: torch.Tensor,
                label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            feature (Tensor): Features of shape (N, D).
            label (Tensor): Class indices of shape (N,), integers.

        Returns:
            Tensor: A scalar, in the precision of the centres.

        Raises:
            ValueError: If either has another shape, or the labels are no
                class indices.
        """
        width = self.centers.size(1)
        if feature.ndim != 2 or feature.size(1) != width:
            raise ValueError(
                f'AffinityLoss has centres of {width} channels and needs '
                f'features (N, {width}), but got {tuple(feature.shape)}')
        if label.ndim != 1 or label.is_floating_point():
            raise ValueError(
                'AffinityLoss needs class indices of shape (N,), but got '
                f'{label.dtype} of shape {tuple(label.shape)}. Soft targets '
                '(label smoothing, Mixup, CutMix) belong to no one centre: '
                'leave this loss out with them')
        own = F.embedding(label, self.centers)
        distance = (feature.to(own.dtype) - own).square().sum(dim=1)
        spread = self.centers.var(dim=0).sum()
        return self.loss_weight * distance.mean() / spread
