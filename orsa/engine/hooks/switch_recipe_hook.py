# Copyright (c) orsa contributors. All rights reserved.
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwitchRecipeHook as _SwitchRecipeHook

from orsa.registry import HOOKS


@HOOKS.register_module()
class SwitchRecipeHook(_SwitchRecipeHook):
    """mmpretrain's ``SwitchRecipeHook``, which also switches under DDP.

    mmpretrain 1.2.0 asks its own registry whether the model is wrapped; the
    wrappers are in MMEngine's, and the switch of the loss fails with "Cannot
    access the `loss_module`" in every distributed training. The arguments are
    mmpretrain's.
    """

    def before_train(self, runner: Runner) -> None:
        """On resuming, switch what was switched before."""
        self._keep_terms = True
        super().before_train(runner)
        self._keep_terms = False

    def _switch_loss(self, runner: Runner, loss_module) -> None:
        """Put the loss into the model, or into its head."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        for owner in (model, getattr(model, 'head', None)):
            if hasattr(owner, 'loss_module'):
                owner.loss_module = loss_module
                # a run that goes on after the switch has the new terms alone
                if not (getattr(self, '_keep_terms', False) or getattr(
                        getattr(runner, '_train_loop', None), 'skip_batches',
                        0)):
                    _forget_terms(runner)
                return
        raise RuntimeError(
            f'{type(model).__name__} has no loss_module to switch, and '
            'neither has its head')


def _forget_terms(runner: Runner) -> None:
    """Take the old loss's terms out of the log.

    MMEngine would go on logging their last values beside the new terms.
    """
    scalars = runner.message_hub.log_scalars
    for name in list(scalars):
        if name.startswith('train/') and 'loss' in name:
            scalars.pop(name)
