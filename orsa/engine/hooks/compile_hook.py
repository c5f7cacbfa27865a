# Copyright (c) orsa contributors. All rights reserved.
from typing import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from orsa.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile parts of the model for training, by ``torch.compile``.

    MMEngine's ``compile`` takes the complete model, with frozen priors that
    are prepared in another way and losses that read one sample after the
    other. This takes the parts where it pays: docs/performance.md. The first
    iteration takes minutes; weights and checkpoints keep their names.

    Args:
        parts (Sequence[str]): Names of modules. Defaults to the image encoder
            and the neck.
        **kwargs: Arguments of ``torch.compile``, as ``backend`` or ``mode``.

    Raises:
        AttributeError: When training begins, if the model has no such part.

    Example:
        >>> default_hooks = dict(compile=dict(type='orsa.CompileHook'))
    """

    def __init__(self,
                 parts: Sequence[str] = ('backbone.image_encoder', 'neck'),
                 **kwargs):
        self.parts = tuple(parts)
        self.kwargs = kwargs

    def before_train(self, runner: Runner) -> None:
        """Compile them, once weights are loaded and copies are made."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        for name in self.parts:
            model.get_submodule(name).compile(**self.kwargs)
