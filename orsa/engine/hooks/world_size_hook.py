# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterable, List, Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from orsa.registry import HOOKS

# Of a scheduler's state, what says how far it is; the rest are its settings.
PROGRESS = ('base_values', 'last_step', '_global_step', '_last_value',
            'verbose')


@HOOKS.register_module()
class WorldSizeHook(Hook):
    """Let a training go on with another number of processes.

    A checkpoint counts in iterations, and an iteration of two processes is
    two of one. Checkpoints get a note of processes, batch size and batches of
    an epoch. When they are other ones on resuming, or the data are longer or
    shorter, iterations are counted anew by epochs; a place within an epoch
    becomes the one after as many samples, rounded down to whole batches, so
    that none is left out; schedules that were converted from epochs to
    iterations get the new length and the place in it. Schedules in
    iterations, and loops that count nothing else, stay where they are.

    What this does to the training is logged: with another number of samples
    in a step, the learning rate may no longer fit.
    """

    # Before PreemptionHook, which tells the loop of the place in the epoch.
    priority = 'VERY_HIGH'

    @staticmethod
    def _now(runner: Runner) -> Optional[dict]:
        loader = getattr(runner._train_loop, 'dataloader', None)
        size = getattr(loader, 'batch_size', None)
        if not isinstance(size, int):
            return None
        return dict(
            count=get_world_size(), batch_size=size, batches=len(loader))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note what an iteration is."""
        now = self._now(runner)
        if now is not None:
            checkpoint['meta']['processes'] = now

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Convert what is counted in iterations."""
        meta = checkpoint.get('meta') or {}
        old, new = meta.get('processes'), self._now(runner)
        if (not runner._resume or new is None or not _is_note(old)
                or old == new):
            return
        runner.logger.warning(_tell(old, new))
        if hasattr(runner.train_loop, 'dataloader_iterator'):
            return  # it counts nothing but iterations
        wrapper = runner.optim_wrapper
        before = meta['iter']
        meta['iter'] = meta['epoch'] * new['batches']
        place = meta.get('within_epoch')
        if isinstance(place, dict):
            done = convert_place(
                int(place['done']), old, new,
                getattr(wrapper, '_accumulative_counts', 1))
            meta['within_epoch'] = dict(done=done, of=new['batches'])
            meta['iter'] += done
        built = runner.param_schedulers
        saved = checkpoint.get('param_schedulers')
        if isinstance(built, list) and isinstance(saved, list):
            _convert_schedules(saved, built, before, meta['iter'])
        elif isinstance(built, dict) and isinstance(saved, dict):
            for name in built:
                _convert_schedules(
                    saved.get(name, ()), built[name], before, meta['iter'])


def _is_note(note) -> bool:
    return isinstance(note, dict) and all(
        isinstance(note.get(key), int) and note[key] > 0
        for key in ('count', 'batch_size', 'batches'))


def _tell(old: dict, new: dict) -> str:
    """What changes, for people."""
    sizes = [n['count'] * n['batch_size'] for n in (old, new)]
    parts = [
        f'{n["count"]} processes x {n["batch_size"]} samples, '
        f'{n["batches"]} batches an epoch' for n in (old, new)
    ]
    step = (f'A step still has {sizes[0]} samples' if sizes[0] == sizes[1] else
            f'A step had {sizes[0]} samples and has {sizes[1]} now, with the '
            'same learning rate')
    return (f'the checkpoint was trained by {parts[0]}; now it is {parts[1]}. '
            f'{step}. Iterations are counted as if it had always been so')


def convert_place(done: int, old: dict, new: dict, accumulate: int = 1) -> int:
    """How many batches of an epoch are done, in another division.

    Args:
        done (int): Batches that were done.
        old (dict): ``count``, ``batch_size`` and ``batches`` of then.
        new (dict): The same of now.
        accumulate (int): Iterations in a step, the first of which begins with
            the epoch. Defaults to 1.

    Returns:
        int: The batches that cover no sample that was not seen. Less than
        one batch of samples is seen again.

    Examples:
        >>> two = dict(count=2, batch_size=6, batches=5)
        >>> one = dict(count=1, batch_size=6, batches=10)
        >>> convert_place(2, two, one), convert_place(3, one, two)
        (4, 1)
    """
    samples = done * old['count'] * old['batch_size']
    done = min(samples // (new['count'] * new['batch_size']), new['batches'])
    return done - done % accumulate


def _convert_schedules(saved: List[dict], built: Iterable, before: int,
                       now: int) -> None:
    """Bring saved states of schedulers to the length of the built ones.

    Args:
        saved (list[dict]): The states; are changed.
        built (Iterable): The schedulers of this run.
        before (int): The iteration as it was counted.
        now (int): As it is counted now.
    """
    for state, scheduler in zip(saved, built):
        if getattr(scheduler, 'by_epoch', True) or state.get('by_epoch', True):
            continue
        settings = {
            key: value
            for key, value in scheduler.state_dict().items()
            if key not in PROGRESS
        }
        if all(state.get(key) == value for key, value in settings.items()):
            continue  # it was given in iterations, and stays there
        state.update(settings)
        step = max(now + state['_global_step'] - before, 0)
        state['_global_step'] = step
        state['last_step'] = min(
            max(step - scheduler.begin, -1),
            scheduler.end - 1 - scheduler.begin)
