# Copyright (c) orsa contributors. All rights reserved.
from typing import List

import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample

from orsa.models.utils.same_batch import compute_once, provide, provided
from orsa.registry import MODELS


@MODELS.register_module()
class ConsistencyClassifier(ImageClassifier):
    """A classifier whose answer to a face and its occluded self should agree.

    mmpretrain's ``ImageClassifier`` with one more term of the loss: the
    Kullback-Leibler divergence of its scores from those that it gives,
    without gradients, to the same faces before something was laid over them
    (consistency training, https://arxiv.org/abs/1904.12848; there the labels
    are missing). In the second pass of SAM the scores of the first are used
    again.

    The faces come from ``orsa.KeepImage`` in the pipeline, packed by
    ``algorithm_keys=['clean_img']`` of ``PackInputs``, and reach the model by
    :class:`orsa.CompanionDataPreprocessor` with 'clean_img' among its
    ``auxiliary_inputs``.

    Args:
        *args: Those of ``ImageClassifier``.
        consistency_weight (float): Weight of the term. Defaults to 1.
        **kwargs: Those of ``ImageClassifier``.
    """

    def __init__(self, *args, consistency_weight: float = 1., **kwargs):
        super().__init__(*args, **kwargs)
        self.consistency_weight = consistency_weight

    def loss(self, inputs: torch.Tensor,
             data_samples: List[DataSample]) -> dict:
        """The losses of the head, and ``loss_consistency``.

        Args:
            inputs (Tensor): (B, 3, H, W), with 'clean_img'.
            data_samples (list[DataSample]): Of B faces.

        Raises:
            ValueError: If the faces came without 'clean_img'.
        """
        feats = self.extract_feat(inputs)
        losses = self.head.loss(feats, data_samples)
        target = compute_once(self, inputs, self._clean_scores)
        scores = self.head(feats).log_softmax(dim=1)
        divergence = F.kl_div(scores, target, reduction='batchmean')
        losses['loss_consistency'] = self.consistency_weight * divergence
        return losses

    @torch.no_grad()
    def _clean_scores(self, inputs: torch.Tensor) -> torch.Tensor:
        clean = provided(inputs, 'clean_img')
        if clean is None:
            raise ValueError(
                "ConsistencyClassifier needs 'clean_img' with its images: "
                'orsa.KeepImage in the pipeline, algorithm_keys of PackInputs '
                'and auxiliary_inputs of orsa.CompanionDataPreprocessor')
        clean = self.data_preprocessor(dict(inputs=clean))['inputs']
        fold = provided(inputs, 'fold')
        if fold is not None:  # of priors that have not seen these faces
            provide(clean, fold=fold)
        # Statistics are those of what it learns from. By the flags alone:
        # train() would move what a hook has frozen, and priors would forget
        # their faster copies.
        modes = [(module, module.training) for module in self.modules()]
        for module, _ in modes:
            module.training = False
        try:
            return self(clean).softmax(dim=1)
        finally:
            for module, training in modes:
                module.training = training
