# Copyright (c) orsa contributors. All rights reserved.
"""An exported file in place of a model that was built."""
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.config import Config

from .export_info import LANDMARKS, LOGITS, PARSING
from .exported import ExportedModel


class _StackImages(nn.Module):
    """In place of a data preprocessor, whose work is done inside the file."""

    def forward(self, data: dict, training: bool = False) -> dict:
        inputs = data['inputs']
        if isinstance(inputs, (list, tuple)):
            inputs = torch.stack(list(inputs))
        return dict(data, inputs=inputs)


class _ExportedPrior(nn.Module):
    """In place of a frozen prior, whose output is one of the file's."""

    def __init__(self, predict: Callable[[torch.Tensor], torch.Tensor],
                 input_size: Tuple[int, int], ability: str):
        super().__init__()
        self._predict = predict
        self.input_size = input_size
        setattr(self, ability, True)

    def parse(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, P, h, w)."""
        return self._predict(x)

    def locate(self, x: torch.Tensor) -> torch.Tensor:
        """Keypoints (B, K, 3), 0 being the centre of the first pixel."""
        height, width = self.input_size
        return self._predict(x) - torch.tensor([.5 / width, .5 / height, 0.])


class ExportedClassifier(nn.Module):
    """An exported file with the interface of a classifier.

    :func:`orsa.apis.predict_faces` and :class:`orsa.apis.FERInferencer` take
    it as a model of :func:`orsa.apis.init_model`. A file that was exported
    without priors gives no masks and landmarks.

    Args:
        exported (ExportedModel): The file.
    """

    def __init__(self, exported: ExportedModel):
        super().__init__()
        self.exported = exported
        self.dataset_meta = dict(classes=exported.classes)
        pipeline = [dict(t) for t in exported.info.pipeline]
        pipeline.append(dict(type='PackInputs'))
        self.cfg = Config(
            dict(
                default_scope='mmpretrain',
                test_dataloader=dict(dataset=dict(pipeline=pipeline))))
        self.data_preprocessor = _StackImages()
        self.backbone = nn.Module()
        for name, key, ability in (('parsing_prior', PARSING, 'can_parse'),
                                   ('landmark_prior', LANDMARKS,
                                    'can_locate')):
            if key in exported.outputs:
                predict = partial(lambda key, x: self._outputs(x)[key], key)
                prior = _ExportedPrior(predict, exported.image_size, ability)
                setattr(self.backbone, name, prior)
        self._last: Tuple[Any, Dict[str, torch.Tensor]] = (None, {})

    def __reduce__(self):
        return ExportedClassifier, (self.exported, )

    def _outputs(self, inputs: torch.Tensor) -> Dict[str, torch.Tensor]:
        """All outputs, computed once for one tensor, which priors share."""
        if self._last[0] is not inputs:
            images = inputs.cpu().permute(0, 2, 3, 1).numpy()
            found = self.exported.run(images)
            self._last = inputs, {
                k: torch.from_numpy(v)
                for k, v in found.items()
            }
        return self._last[1]

    def forward(self,
                inputs: torch.Tensor,
                data_samples: Optional[List] = None,
                mode: str = 'tensor'):
        """As a classifier's, without training.

        Args:
            inputs (Tensor): Images (N, 3, H, W), BGR uint8.
            data_samples (list[DataSample], optional): Of each.
            mode (str): 'tensor' for logits, 'predict' for data samples with
                ``pred_score`` and ``pred_label``.

        Raises:
            ValueError: For another mode.
        """
        if mode not in ('tensor', 'predict'):
            raise ValueError("mode of an exported model should be 'tensor' or "
                             f"'predict', but got '{mode}'")
        logits = self._outputs(inputs)[LOGITS]
        if mode == 'tensor':
            return logits
        # mmpretrain is not needed to read a file
        from mmpretrain.structures import DataSample
        samples = data_samples or [DataSample() for _ in logits]
        for sample, score in zip(samples, logits.softmax(-1), strict=True):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return samples
