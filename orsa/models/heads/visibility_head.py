# Copyright (c) orsa contributors. All rights reserved.
"""A head for landmarks and their visibility. Needs mmpose, and is therefore
imported by :mod:`orsa.registry` when ``orsa.VisibilityHead`` is requested, not
before."""
from typing import Optional, Tuple

import torch
import torch.nn as nn

from orsa.registry import MODELS
from orsa.utils.compat import provide_mmcv_ops

provide_mmcv_ops()  # without them mmpose's models do not import

from mmpose.models.heads import RTMCCHead, VisPredictHead  # noqa: E402


@MODELS.register_module()
class VisibilityHead(VisPredictHead):
    """Landmarks by SimCC, and whether each of them can be seen.

    mmpose's ``VisPredictHead`` around the head of `RTMPose
    <https://arxiv.org/abs/2303.07399>`_, with two differences: visibility is
    read off each landmark's own feature instead of the mean of the map, and
    points that are occluded are trained too (``orsa.AsPoseSample`` with an
    ``occluded`` below 1). :class:`LandmarkPrior` hands the visibility on as
    the confidence.

    Args:
        pose_cfg (dict): Config of an ``mmpose.RTMCCHead``.
        loss (dict): Loss of the visibility; its logits are given to it.
        init_cfg (dict, optional): Initialisation.
    """

    def __init__(self,
                 pose_cfg: dict,
                 loss: dict = dict(type='mmpose.BCELoss'),
                 init_cfg: Optional[dict] = None):
        super().__init__(pose_cfg, loss, init_cfg)
        if not isinstance(self.pose_head, RTMCCHead):
            raise TypeError('pose_cfg should be of an mmpose.RTMCCHead, got '
                            f'{type(self.pose_head).__name__}')
        self.vis_head = nn.Linear(self.pose_head.cls_x.in_features, 1)

    def vis_forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits of the visibility (B, K), from maps of the backbone."""
        return self.vis_head(self._tokens(feats)).squeeze(-1)

    def _tokens(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        head = self.pose_head
        return head.gau(head.mlp(head.final_layer(feats[-1]).flatten(2)))

    def forward(
        self, feats: Tuple[torch.Tensor]
    ) -> Tuple[Tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """SimCC codes of x and y (B, K, W) and (B, K, H), and visibility.

        The visibility (B, K) is a probability.
        """
        tokens, head = self._tokens(feats), self.pose_head
        codes = head.cls_x(tokens), head.cls_y(tokens)
        return codes, self.vis_head(tokens).squeeze(-1).sigmoid()

    def loss(self,
             feats: Tuple[torch.Tensor],
             batch_data_samples: list,
             train_cfg: Optional[dict] = None) -> dict:
        """Losses of landmarks and visibility, and the accuracy of each."""
        logits = self.vis_forward(feats)
        weights = torch.cat([
            sample.gt_instance_labels.keypoint_weights
            for sample in batch_data_samples
        ])
        # the codec leaves less at what is occluded, 0 at what is far outside
        visible = (weights == 1).to(logits)
        return dict(
            loss_vis=self.loss_module(logits, visible),
            acc_vis=self.vis_accuracy(logits, visible),
            **self.pose_head.loss(feats, batch_data_samples))
