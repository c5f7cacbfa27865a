# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

from mmpretrain.models import AverageClsScoreTTA
from mmpretrain.structures import DataSample

from orsa.registry import MODELS


@MODELS.register_module()
class AverageScoreTTA(AverageClsScoreTTA):
    """The mean of the scores of several views of an image.

    mmpretrain's ``AverageClsScoreTTA``, which leaves ``pred_label`` as that of
    the first view. Here it is the class of the largest mean.
    """

    def _merge_single_sample(self,
                             data_samples: Sequence[DataSample]) -> DataSample:
        merged = super()._merge_single_sample(data_samples)
        return merged.set_pred_label(merged.pred_score.argmax())
