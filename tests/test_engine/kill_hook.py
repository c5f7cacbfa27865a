# Copyright (c) orsa contributors. All rights reserved.
"""A hook that kills, stops or faults its training where the test wants it."""
import os
import resource
import signal
import threading
import time

from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


def _kill_after(seconds):
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class KillHook(Hook):
    """Bring a fault about, as the environment says.

    ``KILL_AT``: no warning, before an iteration. ``KILL_AFTER``: the same, so
    many seconds after the training began, wherever it is then; ``MEASURE``
    writes how long it takes. ``TERM_AT``: SIGTERM in an iteration;
    ``TERM_IN_VAL``: in the validation of an epoch. ``FULL_AT``: from an
    iteration on no file can grow beyond 20 kB. ``FAULT_RANK``: the one
    process of several that it happens to.
    """

    def before_train(self, runner):
        self.began = time.monotonic()
        if int(os.environ.get('FAULT_RANK', get_rank())) != get_rank():
            for name in ('KILL_AFTER', 'KILL_AT', 'TERM_AT', 'TERM_IN_VAL'):
                os.environ.pop(name, None)
        if 'KILL_AFTER' in os.environ:
            threading.Thread(
                target=_kill_after,
                args=(float(os.environ['KILL_AFTER']), ),
                daemon=True).start()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == int(os.environ.get('KILL_AT', -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        if runner.iter == int(os.environ.get('TERM_AT', -1)):
            os.kill(os.getpid(), signal.SIGTERM)
        if runner.iter == int(os.environ.get('FULL_AT', -1)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    def after_train(self, runner):
        if 'MEASURE' in os.environ and is_main_process():
            with open(os.path.join(runner.work_dir, 'seconds'), 'w') as file:
                file.write(str(time.monotonic() - self.began))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == int(os.environ.get('TERM_IN_VAL', -1)):
            os.kill(os.getpid(), signal.SIGTERM)
            os.environ.pop('TERM_IN_VAL')
