# Copyright (c) orsa contributors. All rights reserved.
import contextlib
import copy
import inspect
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmengine.utils import to_2tuple

from orsa.models.utils.resize import resize_images
from orsa.registry import MODELS
from orsa.utils.compat import provide_mmcv_ops
from orsa.utils.pretrained import (AllowUntrained, check_allow_untrained,
                                   check_pretrained, load_pretrained,
                                   take_pretrained)
from orsa.utils.same_batch import compute_once, provided
from .fold_priors import FoldPriors
from .prior_speed import PriorSpeed

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


def build_foreign(cfg: dict) -> nn.Module:
    """Build a model of any library, under that library's own scope.

    A config of mmseg or mmpose can then be used as it is, bare type names
    inside it included.
    """
    scope, _, name = cfg['type'].rpartition('.')
    if scope in ('mmseg', 'mmpose', 'mmdet'):
        provide_mmcv_ops()
    if not name or scope in ('', 'orsa'):
        return MODELS.build(cfg)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def skip_pretrained(cfg: dict) -> dict:
    """Let a model's parts do without their files: a checkpoint follows.

    Args:
        cfg (dict): Config of a model, changed in place: every part that knows
            ``allow_untrained`` gets it as 'quiet', and no ``init_cfg`` asks
            for a pretrained file any more.

    Returns:
        dict: The same config.
    """
    if isinstance(cfg, dict):
        if _knows_allow_untrained(cfg.get('type')):
            cfg['allow_untrained'] = 'quiet'
        take_pretrained(cfg)
        for value in cfg.values():
            skip_pretrained(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            skip_pretrained(value)
    return cfg


def _knows_allow_untrained(kind: Union[str, type, None]) -> bool:
    if isinstance(kind, str):
        # Others than orsa's parts and their heirs are not worth an import.
        kind = MODELS.get(kind) if kind.startswith('orsa.') else (
            MODELS.module_dict.get(kind))
    return isinstance(kind, type) and any(
        'allow_untrained' in inspect.signature(base.__init__).parameters
        for base in kind.__mro__)


def strip_pretrained(cfg: dict) -> dict:
    """Remove every ``init_cfg`` that loads a file, however deep inside."""
    if isinstance(cfg, dict):
        take_pretrained(cfg)
        cfg.pop('pretrained', None)
        for value in cfg.values():
            strip_pretrained(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            strip_pretrained(value)
    return cfg


@MODELS.register_module()
class FrozenPrior(BaseModule):
    """A model that is asked and never changed.

    Wraps any backbone, segmentor or pose estimator from its config. It stays
    in evaluation mode and without gradients whatever its parent does, and
    computes once per batch inside :func:`orsa.utils.same_batch.same_batch`.
    Its weights are part of the parent's checkpoint. Symbols: B images, C
    channels, h x w the map.

    Args:
        model (dict): Config of the model. Types of mmseg and mmpose carry
            their prefix; what is inside them need not.
        output (str): What is handed on; 'feature' is a map (B, C, h, w) of
            the backbone. Defaults to 'feature'.
        out_index (int): Which of the backbone's maps. Defaults to -1.
        out_channels (int, optional): C as the parts behind expect it; checked
            when built. Defaults to None, not checked.
        input_size (int | tuple[int, int], optional): Height and width of the
            model's input, in pixels. Defaults to None, as it comes.
        resize_mode (str): 'nearest' or 'bilinear'. Defaults to 'bilinear'.
        mean (Sequence[float], optional): What the model subtracts, RGB, in
            [0, 255]. Defaults to None, the same as ``input_mean``.
        std (Sequence[float], optional): What it divides by.
            Defaults to None, the same as ``input_std``.
        bgr (bool): Whether the model wants BGR. Defaults to False.
        input_mean (Sequence[float]): What the classifier's data preprocessor
            subtracted; ``orsa.ModelCheckHook`` compares the two. Defaults to
            ImageNet's.
        input_std (Sequence[float]): What it divided by. Defaults to
            ImageNet's.
        checkpoint (str, optional): The model's weights, a path or address.
            An ``init_cfg=dict(type='Pretrained', ...)`` of ``model`` says the
            same. Defaults to None.
        source (str, optional): Where to get them, for the message when they
            are missing. Defaults to None.
        allow_untrained (bool | str): What a missing checkpoint means: False
            an error, True a loud warning, 'quiet' nothing, since a whole
            checkpoint follows. Defaults to False.
        drift (bool): Follow the parent into training mode, as the published
            implementation does by accident: BatchNorm statistics drift and
            stochastic depth stays on. Defaults to False.
        fold_checkpoints (Sequence[str], optional): Of each fold of the
            training data the weights that have not seen it, which then answer
            for it; see :class:`FoldPriors`. The companion 'fold' (B,) of the
            input (:func:`orsa.utils.same_batch.provide`) says which row is in
            which; -1, or no companion, asks the main model. They are loaded
            by :meth:`init_weights` and are not part of the checkpoint.
            Defaults to None.
        prepare (str, optional): 'fold' computes by
            :func:`orsa.models.utils.fast_copy.fast_copy`, faster and equal up
            to rounding; the weights and the checkpoint stay as they are. It is
            tried on an image first, and done without, with a warning, where
            it would give something else. Defaults to None.
        dtype (str, optional): Precision of the model, 'float32', 'bfloat16'
            or 'float16' (GPU), whatever that of the classifier is. What is
            handed on is float32 in any case. Defaults to None, the
            classifier's.

    Raises:
        ValueError: If ``output``, ``prepare`` or ``dtype`` is unknown, C is
            another number, or what is to drift is to be copied, for folds or
            to prepare it.
        FileNotFoundError: From :meth:`init_weights`, without a checkpoint.
    """

    outputs: Tuple[str, ...] = ('feature', )
    # under which its output may come with the images, computed before
    cache_key: Optional[str] = None

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
                 dtype: Optional[str] = None):
        super().__init__()
        if output not in self.outputs:
            raise ValueError(f'{type(self).__name__}.output should be one of '
                             f'{self.outputs}, but got {output!r}')
        self.output = output
        self.out_index = out_index
        self.input_size = None if input_size is None else to_2tuple(input_size)
        self.resize_mode = resize_mode
        self.bgr = bgr
        self.checkpoint = checkpoint
        self.source = source
        self.allow_untrained = check_allow_untrained(allow_untrained)
        self.drift = drift
        self._shapes: Dict[Tuple[int, int], tuple] = {}
        if drift and fold_checkpoints is not None:
            raise ValueError(f'{type(self).__name__}: fold_checkpoints need '
                             'drift=False, only what is frozen can be copied')
        if drift and prepare is not None:
            raise ValueError(f"{type(self).__name__}: prepare='{prepare}' "
                             'needs drift=False, statistics that move cannot '
                             'be folded')
        self._speed = PriorSpeed(type(self).__name__, prepare, dtype)
        self.folds = (None if fold_checkpoints is None else
                      FoldPriors(fold_checkpoints))
        self.input_mean, self.input_std = tuple(input_mean), tuple(input_std)
        self._set_renormalisation(mean or input_mean, std or input_std)

        model = copy.deepcopy(model)
        model.pop('data_preprocessor', None)
        # Its own file is this part's business, and so is asking for it.
        pretrained = take_pretrained(model)
        self.prefix = None
        if checkpoint is None and pretrained is not None:
            self.checkpoint = pretrained['checkpoint']
            self.prefix = pretrained.get('prefix')
        if self.checkpoint is not None:
            # which has all of it: what its parts once started from is moot
            strip_pretrained(model)
        self.model = build_foreign(model)
        self._hide_num_classes()
        self.model.requires_grad_(False)
        self.train(False)
        if out_channels is not None:
            self._check_channels(out_channels)

    def _set_renormalisation(self, mean, std) -> None:
        shape = (1, 3, 1, 1)
        input_mean, input_std, mean, std = (
            torch.tensor(v, dtype=torch.float64).reshape(shape)
            for v in (self.input_mean, self.input_std, mean, std))
        # ((x * input_std + input_mean) - mean) / std in one step
        scale, shift = input_std / std, (input_mean - mean) / std
        self.renormalises = not (torch.equal(scale,
                                             torch.ones(shape).double())
                                 and not shift.any())
        for name, value in (('scale', scale), ('shift', shift)):
            self.register_buffer(
                f'input_{name}', value.float(), persistent=False)

    def _hide_num_classes(self) -> None:
        """Take ``num_classes`` off the model's parts.

        mmpretrain's ``ClassNumCheckHook`` compares every submodule's with the
        dataset's and would stop at an 11-class parser inside a 7-class
        model. Some heads read theirs in the forward pass (Segmenter's,
        PointRend's), so that it is put back for as long as that takes.
        """
        self._class_counts: List[Tuple[nn.Module, int]] = [
            (module, vars(module).pop('num_classes'))
            for module in self.model.modules() if 'num_classes' in vars(module)
        ]

    @contextlib.contextmanager
    def _with_num_classes(self):
        for module, count in self._class_counts:
            vars(module)['num_classes'] = count
        try:
            yield
        finally:
            for module, _ in self._class_counts:
                vars(module).pop('num_classes', None)

    def _blank(self) -> torch.Tensor:
        height, width = self.input_size or (224, 224)
        return torch.zeros(1, 3, height, width)

    @torch.no_grad()
    def _check_channels(self, expected: int) -> None:
        out = self._compute_plainly(self._blank())
        if out.size(1) != expected:
            raise ValueError(
                f'{type(self).__name__} was asked for {expected} channels '
                f'({self.output}), but {type(self.model).__name__} gives '
                f'{out.size(1)}')

    def init_weights(self) -> None:
        """Load the checkpoint, or refuse, or say loudly what is missing."""
        if hasattr(self.model, 'init_weights'):
            self.model.init_weights()
        name = f'{type(self).__name__} ({type(self.model).__name__})'
        if check_pretrained(self.checkpoint, name, self.source,
                            self.allow_untrained):
            load_pretrained(self.model, self.checkpoint, name, self.prefix)
        if self.folds is not None:
            self.folds.load(self, name, self.source, self.prefix)

    def _apply(self, fn, *args, **kwargs) -> 'FrozenPrior':
        if self.folds is not None:
            self.folds.apply_to_tensors(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def train(self, mode: bool = True) -> 'FrozenPrior':
        """Stay in evaluation mode, unless ``drift`` is set."""
        # weights written past autograd (`.data`) are seen from here on
        self._speed.forget()
        return super().train(mode and self.drift)

    def _prepare(self, x: torch.Tensor) -> torch.Tensor:
        if self.input_size is not None:
            x = resize_images(x, self.input_size, self.resize_mode)
        if self.renormalises:
            x = x * self.input_scale + self.input_shift
        return x.flip(1) if self.bgr else x

    def _compute(self,
                 x: torch.Tensor,
                 output: Optional[str] = None) -> torch.Tensor:
        output = output or self.output
        with torch.no_grad(), self._with_num_classes():
            return self._speed.compute(
                self.model, self._prepare(x),
                lambda model, x: self._extract_by(model, x, output))

    def _compute_plainly(self, x: torch.Tensor) -> torch.Tensor:
        """As :meth:`_compute`, where a copy would not pay."""
        with torch.no_grad(), self._with_num_classes():
            return self._extract(self._prepare(x), self.output)

    def _extract_by(self, model: nn.Module, x: torch.Tensor,
                    output: str) -> torch.Tensor:
        if model is self.model:
            return self._extract(x, output)
        # stands in for as long as that takes, and is no module of ours
        vars(self)['model'] = model
        try:
            return self._extract(x, output)
        finally:
            del vars(self)['model']

    def _feature(self, x: torch.Tensor) -> torch.Tensor:
        model = getattr(self.model, 'backbone', self.model)
        outs = model(x)
        return outs[self.out_index] if isinstance(outs,
                                                  (tuple, list)) else outs

    def _extract(self, x: torch.Tensor, output: str) -> torch.Tensor:
        """One of ``outputs`` for a prepared input; subclasses know more."""
        return self._feature(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ask the model.

        Args:
            x (Tensor): Images (B, 3, H, W) as the classifier gets them.

        Returns:
            Tensor: The output, without gradients; the same object again
            inside :func:`orsa.utils.same_batch.same_batch`. What
            :func:`orsa.utils.same_batch.provide` attached to ``x`` under
            ``cache_key`` is handed on instead of computing.

        Raises:
            ValueError: If that has another shape than the output has.
        """
        if self.cache_key is not None:
            given = provided(x, self.cache_key)
            if given is not None:
                return self._accept(given, x)
        if self.training:  # drifting: every pass moves the statistics
            return self._compute(x)
        return compute_once(self, x, self._answer)

    def _accept(self, given: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        size = tuple(x.shape[2:])
        if size not in self._shapes:  # asked once for each size of image
            self._shapes[size] = tuple(self._compute(x[:1]).shape[1:])
        if tuple(given.shape[1:]) != self._shapes[size]:
            raise ValueError(
                f"the '{self.cache_key}' that came with the images has the "
                f'shape {tuple(given.shape[1:])} for each, but '
                f'{type(self).__name__} gives {self._shapes[size]} '
                f"({self.output}) for {size[0]}x{size[1]} images: it is "
                "another prior's, or one of another size")
        return given.to(x)

    def _answer(self, x: torch.Tensor) -> torch.Tensor:
        folds = None if self.folds is None else provided(x, 'fold')
        if folds is None:
            return self._compute(x)
        return self.folds.answer(x, folds, self._compute)
