# Copyright (c) orsa contributors. All rights reserved.
import copy
from functools import partial
from typing import Dict, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple

from orsa.models.utils.pretrained import (AllowUntrained,
                                          check_allow_untrained,
                                          check_pretrained, load_pretrained)
from orsa.models.utils.resize import resize_images
from orsa.registry import MODELS
from orsa.utils.checkpoint import take_pretrained
from .fold_priors import FoldPriors
from .prior_outputs import prior_output
from .prior_speed import PriorSpeed
from .wrapped_model import HiddenNumClasses, build_wrapped, strip_pretrained

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class FrozenPrior(BaseModule):
    """A pretrained model that predicts and never changes.

    Wraps any backbone, segmentor or pose estimator from its config. It stays
    in evaluation mode and without gradients whatever its parent does. Its
    weights are part of the parent's checkpoint. Symbols: B images, C
    channels, h x w the map.

    Args:
        model (dict): Config of the model. Types of mmseg and mmpose carry
            their prefix; what is inside them need not.
        output (str): 'feature', a map (B, C, h, w) of the backbone; subclasses
            have more.
        out_index (int): Which of the backbone's maps.
        out_channels (int, optional): C as the following parts expect it;
            checked when built.
        input_size (int | tuple[int, int], optional): Height and width of the
            model's input, in pixels. Defaults to None, as it comes.
        resize_mode (str): 'nearest' or 'bilinear'.
        mean (Sequence[float], optional): What the model subtracts, RGB, in
            [0, 255]. Defaults to None, the same as ``input_mean``.
        std (Sequence[float], optional): What it divides by.
            Defaults to None, the same as ``input_std``.
        bgr (bool): Whether the model wants BGR.
        input_mean (Sequence[float]): What the classifier's data preprocessor
            subtracted; ``orsa.ModelCheckHook`` compares the two.
        input_std (Sequence[float]): What it divided by.
        checkpoint (str, optional): Path or address of the model's weights; an
            ``init_cfg=dict(type='Pretrained', ...)`` of ``model`` is the same.
        source (str, optional): Where to get them, for the message when they
            are missing.
        allow_untrained (bool | str): What a missing checkpoint means: False
            an error, True a loud warning, 'quiet' nothing, since the parent's
            checkpoint follows.
        drift (bool): Follow the parent into training mode, as the published
            implementation does by accident: BatchNorm statistics drift and
            stochastic depth stays on.
        fold_checkpoints (Sequence[str], optional): For cross-fitting, see
            :class:`FoldPriors`.
        prepare (str, optional): 'fuse' computes by a faster copy, see
            :class:`PriorSpeed`.
        dtype (str, optional): Precision of the model, see
            :class:`PriorSpeed`. Defaults to None, the classifier's.
        half_weights (bool): Hold the weights in half precision alone, see
            :class:`PriorSpeed`. Defaults to False.

    Raises:
        ValueError: If ``output``, ``prepare`` or ``dtype`` is unknown,
            ``half_weights`` is without ``prepare``, C is another number, the
            model's data preprocessor states another mean or std than
            ``input_mean`` or ``input_std`` and ``mean`` or ``std`` is
            missing, or ``drift`` is combined with ``prepare`` or
            ``fold_checkpoints``.
        FileNotFoundError: From :meth:`init_weights`, without a checkpoint.
    """

    outputs: Tuple[str, ...] = ('feature', )
    # the auxiliary input that holds its output, where that is cached
    cache_key: Optional[str] = None
    allow_untrained: AllowUntrained = False
    _asked: Optional[bool] = None  # of train(), which loops call at will

    def __init__(self,
                 model: dict,
                 output: str = 'feature',
                 out_index: int = -1,
                 out_channels: Optional[int] = None,
                 input_size: Union[int, Tuple[int, int], None] = None,
                 resize_mode: str = 'bilinear',
                 mean: Optional[Sequence[float]] = None,
                 std: Optional[Sequence[float]] = None,
                 bgr: bool = False,
                 input_mean: Sequence[float] = _IMAGENET_MEAN,
                 input_std: Sequence[float] = _IMAGENET_STD,
                 checkpoint: Optional[str] = None,
                 source: Optional[str] = None,
                 allow_untrained: AllowUntrained = False,
                 drift: bool = False,
                 fold_checkpoints: Optional[Sequence[str]] = None,
                 prepare: Optional[str] = None,
                 dtype: Optional[str] = None,
                 half_weights: bool = False):
        super().__init__()
        name = type(self).__name__
        if output not in self.outputs:
            raise ValueError(f'{name}.output should be one of {self.outputs}, '
                             f'but got {output!r}')
        if drift and (prepare or fold_checkpoints is not None):
            raise ValueError(f'{name}: drift=True moves statistics, which '
                             'prepare and fold_checkpoints would copy')
        own = model.get('data_preprocessor') or {}
        for key, value, given in (('mean', mean, input_mean), ('std', std,
                                                               input_std)):
            if value is None and own.get(key) and not np.allclose(
                    own[key], given, rtol=.01):
                raise ValueError(
                    f"{name}: the model's data_preprocessor has "
                    f'{key}={tuple(own[key])}, but gets images of input_{key}='
                    f'{tuple(given)} as they are: set {key} to what the model '
                    'was trained with')
        self.output = output
        self.out_index = out_index
        self.input_size = None if input_size is None else to_2tuple(input_size)
        self.resize_mode = resize_mode
        self.bgr = bgr
        self.source = source
        self.allow_untrained = check_allow_untrained(allow_untrained)
        self.drift = drift
        self.output_shapes: Dict[Tuple[int, int], tuple] = {}
        self.speed = PriorSpeed(name, prepare, dtype, half_weights)
        self.folds = (None if fold_checkpoints is None else
                      FoldPriors(fold_checkpoints))
        self.input_mean, self.input_std = tuple(input_mean), tuple(input_std)
        # ((x * input_std + input_mean) - mean) / std in one step
        input_mean, input_std, mean, std = (
            torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1)
            for v in (input_mean, input_std, mean or input_mean,
                      std or input_std))
        scale, shift = input_std / std, (input_mean - mean) / std
        self.renormalises = bool((scale != 1).any() or shift.any())
        self.register_buffer('input_scale', scale.float(), persistent=False)
        self.register_buffer('input_shift', shift.float(), persistent=False)

        model = copy.deepcopy(model)
        model.pop('data_preprocessor', None)
        # loaded, or missed, by init_weights below
        pretrained = take_pretrained(model) or {}
        self.prefix = None if checkpoint else pretrained.get('prefix')
        self.checkpoint = checkpoint or pretrained.get('checkpoint')
        if self.checkpoint is not None:
            strip_pretrained(model)  # it has the weights of all parts
        self.model = build_wrapped(model)
        self.hidden_num_classes = HiddenNumClasses(self.model)
        self.model.requires_grad_(False)
        self.train(False)
        if out_channels is not None:
            self._check_channels(out_channels)

    def _check_channels(self, expected: int) -> None:
        found = self.blank_output().size(1)
        if found != expected:
            raise ValueError(
                f'{type(self).__name__}.out_channels={expected}, but '
                f'{type(self.model).__name__} gives {found} ({self.output})')

    def init_weights(self) -> None:
        """Load the checkpoint.

        Raises:
            FileNotFoundError: If it is missing and ``allow_untrained`` False.
            CheckpointError: If it does not fit.
        """
        if hasattr(self.model, 'init_weights'):
            self.model.init_weights()
        name = f'{type(self).__name__} ({type(self.model).__name__})'
        if check_pretrained(self.checkpoint, name, self.source,
                            self.allow_untrained):
            load_pretrained(self.model, self.checkpoint, name, self.prefix)
        if self.folds is not None:
            self.folds.load(self, name)

    def train(self, mode: bool = True) -> 'FrozenPrior':
        """Stay in evaluation mode, unless ``drift`` is set."""
        if mode != self._asked:  # weights may have been written by `.data`
            self.speed.forget()
        self._asked = mode
        return super().train(mode and self.drift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output of :func:`prior_output`, for images (B, 3, H, W)."""
        return prior_output(self, x)

    @torch.no_grad()
    def predict(self,
                x: torch.Tensor,
                output: Optional[str] = None) -> torch.Tensor:
        """Let the model compute, without gradients.

        Args:
            x (Tensor): Images (B, 3, H, W) as the classifier gets them.
            output (str, optional): Defaults to None, that of the config.

        Returns:
            Tensor: The output.
        """
        extract = partial(self._extract, output=output or self.output)
        with self.hidden_num_classes.shown():
            return self.speed.compute(self.model, self._preprocess(x), extract)

    @torch.no_grad()
    def blank_output(self) -> torch.Tensor:
        """The output for a blank image, by the model itself."""
        x = torch.zeros(1, 3, *(self.input_size or (224, 224)))
        with self.hidden_num_classes.shown():
            return self._extract(self.model, self._preprocess(x), self.output)

    def _preprocess(self, x: torch.Tensor) -> torch.Tensor:
        if self.input_size is not None:
            x = resize_images(x, self.input_size, self.resize_mode)
        if self.renormalises:
            x = x * self.input_scale + self.input_shift
        return x.flip(1) if self.bgr else x

    def _extract(self, model: nn.Module, x: torch.Tensor,
                 output: str) -> torch.Tensor:
        """One of ``outputs`` for a preprocessed input, by ``model``."""
        outs = getattr(model, 'backbone', model)(x)
        return outs[self.out_index] if isinstance(outs,
                                                  (tuple, list)) else outs
