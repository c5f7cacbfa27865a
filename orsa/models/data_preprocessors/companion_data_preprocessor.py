# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

import torch
from mmengine.utils import deprecated_api_warning
from mmpretrain.models import ClsDataPreprocessor

from orsa.models.utils.same_batch import provide
from orsa.registry import MODELS


@MODELS.register_module()
class CompanionDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's data preprocessor with auxiliary inputs beside images.

    Frozen priors can get more than images: their cached outputs (see
    :class:`orsa.LoadCachedPriors`), or the fold that an image is in. These
    fields of the data samples are stacked and attached to the batch by
    :func:`orsa.models.utils.same_batch.provide`; ``inputs`` stays one tensor.

    Args:
        auxiliary_inputs (Sequence[str]): Fields that are attached. One that
            no sample of a batch has is skipped.
        **kwargs: See mmpretrain's ``ClsDataPreprocessor``.

    Raises:
        ValueError: If only some of the samples have a field, or a batch
            augmentation has mixed the images that it belongs to.
    """

    @deprecated_api_warning(
        dict(companions='auxiliary_inputs'),
        cls_name='orsa.CompanionDataPreprocessor')
    def __init__(self,
                 auxiliary_inputs: Sequence[str] = ('fold', 'prior_parsing',
                                                    'prior_landmarks'),
                 **kwargs):
        super().__init__(**kwargs)
        self.auxiliary_inputs = tuple(auxiliary_inputs)

    def forward(self, data: dict, training: bool = False) -> dict:
        """As mmpretrain's; ``inputs`` then has its auxiliary inputs."""
        data = super().forward(data, training)
        samples = data.get('data_samples') or []
        values = {}
        for key in self.auxiliary_inputs:
            rows = [s.get(key) for s in samples]
            missing = sum(row is None for row in rows)
            if missing == len(rows):
                continue
            if missing:
                raise ValueError(
                    f"{missing} of {len(rows)} samples of a batch "
                    f"have no '{key}', the others do")
            values[key] = torch.stack([torch.as_tensor(r)
                                       for r in rows]).to(self.device)
        if values and training and self.batch_augments is not None:
            raise ValueError(
                f'batch_augments mix images, but {sorted(values)} belong to '
                'one image each: leave out either')
        provide(data['inputs'], **values)
        return data
