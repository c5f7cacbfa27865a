# Copyright (c) orsa contributors. All rights reserved.
"""Name the rank that the others wait for, and end the job."""
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from typing import Callable, List, Optional, Tuple

import torch.distributed as dist
from mmengine.dist import get_world_size, is_distributed
from mmengine.logging import print_log

from .rank_faults import (FaultBoard, fault_board, follow, lost_a_peer,
                          rank_from_environment, write_error_file)

# How long a rank whose connection broke waits to be told why, in seconds.
GRACE = 10.
# How long the threads of a group that was left are given, in seconds.
MOMENT = 0.5
# Where the main thread is while it waits for other ranks: in the process
# group, in DDP, or in a backward pass that DDP has hooks in.
_FILES = ('torch/distributed/', 'torch/nn/parallel/distributed.py')
_FUNCTIONS = ('_engine_run_backward', )
# The share of the timeout after which ranks are asked where they are: before
# the process group's own timeout, which names nobody.
SHARE = 0.9


def waits(frame) -> bool:
    """Whether a thread whose innermost frame this is waits for other ranks."""
    code = frame.f_code
    path = code.co_filename.replace(os.sep, '/')
    return code.co_name in _FUNCTIONS or any(f in path for f in _FILES)


def _own_line(stack: traceback.StackSummary) -> str:
    """The innermost line that is not torch's, or else the innermost one."""
    own = [f for f in stack if '/torch/' not in f.filename] or stack
    return f'{own[-1].filename}:{own[-1].lineno}, in {own[-1].name}'


class RankGuard(threading.Thread):
    """Watches the main thread of this rank, and what the others say.

    About once a second it looks at where the main thread is. If that has
    waited in one call for other ranks for nine tenths of ``timeout``, all are
    asked where they are. Those that do not wait are the ones that hang: they
    end with their own traceback, and the others say who it was. A rank that
    failed ends the others, wherever they are.

    What is slow everywhere is no fault: somebody has to wait.

    Args:
        board (FaultBoard): Of all ranks.
        timeout (float): That of the process group, in seconds.
    """

    def __init__(self, board: FaultBoard, timeout: float):
        super().__init__(name='RankGuard', daemon=True)
        self.board, self.timeout = board, timeout
        self.poll = min(1., timeout / 20)
        # both by RankCheckHook: what changes with every iteration, and where
        # this rank is, for people
        self.beats = 0
        self.place: Callable[[], str] = lambda: 'before its first iteration'
        self._main = threading.main_thread().ident
        self._call: Tuple = ()
        self._since = time.monotonic()
        self._asked_at: Optional[float] = None
        # set when the main thread has lost its connection
        self.lost = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Look and listen until the job ends."""
        while not self._ended.wait(self.poll):
            cause = self.board.read('cause')
            if cause:
                self._obey(cause)
                return
            self._look()
            question = self.board.read('ask')
            if question:
                self.board.post(f'state/{self.board.rank}',
                                dict(self._state(), question=question))
            if question and self._asked_at is not None:
                self._decide(question)

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()

    def _look(self) -> None:
        frame = sys._current_frames().get(self._main)
        if frame is None or self.lost:
            self._ask()
            return
        # A frame has no identity that lasts: the iteration tells one call
        # from the next.
        call = (frame.f_code, frame.f_lasti,
                self.beats) if waits(frame) else ()
        if call != self._call or not call:
            self._call, self._since = call, time.monotonic()
            if self._asked_at is not None:
                self._asked_at = None
                self.board.remove('ask')
        elif time.monotonic() - self._since > SHARE * self.timeout:
            self._ask()

    def _ask(self) -> None:
        """Ask all ranks where they are."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self.board.post('ask', f'{self.board.rank} at {time.time()}')

    def _state(self) -> dict:
        frame = sys._current_frames().get(self._main)
        stack = traceback.extract_stack(frame)
        return dict(
            waits=bool(self._call) or self.lost,
            line=_own_line(stack),
            place=self.place(),
            stack=''.join(stack.format()))

    def _decide(self, question: str) -> None:
        """Name who does not wait, once all have answered or had the time."""
        states = [
            self.board.read(f'state/{rank}')
            for rank in range(self.board.world_size)
        ]
        states = [s if s and s['question'] == question else {} for s in states]
        patience = max(3., 4 * self.poll)
        if {} in states and time.monotonic() - self._asked_at < patience:
            return
        table = '\n'.join(f'  rank {rank}: {_describe(state)}'
                          for rank, state in enumerate(states))
        waited = f'for {time.monotonic() - self._since:.0f} s'
        missing = [r for r, s in enumerate(states) if not s.get('waits')]
        if missing and not states[missing[0]]:
            self.board.post_cause(_describe({}), table, missing[0], hangs=True)
        elif missing:
            state = states[missing[0]]
            self.board.post_cause(
                f'hangs, others have waited for it {waited}; it is '
                f'{_describe(state)}',
                f'{table}\n{state["stack"]}',
                missing[0],
                hangs=True)
        elif len({s['line'] for s in states}) > 1:
            self.board.post_cause(
                f'the ranks have waited {waited} for each other in different '
                f'places:\n{table}', table, None)

    def _obey(self, cause: dict) -> None:
        """End this rank; the one at fault first."""
        if cause['rank'] == self.board.rank and cause['hangs']:
            line = f'rank {self.board.rank} {cause["summary"]}'
            print_log(f'{line}\n{cause["detail"]}', 'current', 40)
            write_error_file(line, f'{line}\n{cause["detail"]}')
        elif cause['rank'] == self.board.rank:
            # it is about to end by its own error; see that it does
            self._ended.wait(3 * GRACE)
        else:
            # the launcher ends this process before, or its main thread does
            if self._ended.wait(GRACE):
                return
            follow(cause)
        _exit()


def _describe(state: dict) -> str:
    if not state:
        return ('does not answer: it was ended from outside (out of memory, a '
                'machine that is gone), or is stopped')
    doing = 'waiting at' if state['waits'] else 'at'
    return f'{doing} {state["line"]} ({state["place"]})'


def _exit() -> None:
    """End the process though its main thread hangs, and its workers."""
    for worker in multiprocessing.active_children():
        worker.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


_guards: List[RankGuard] = []


def watch_ranks(timeout: float) -> None:
    """Start the guard of this process, if there are several and none runs.

    Args:
        timeout (float): That of the process group, in seconds.
    """
    if _guards or get_world_size() < 2:
        return
    board = fault_board()
    if board is not None:
        guard = RankGuard(board, timeout)
        guard.start()
        _guards.append(guard)


def tell_place(place: Callable[[], str]) -> None:
    """Let the guard say how far this rank is.

    Args:
        place (Callable): Gives a text.
    """
    for guard in _guards:
        guard.place = place


def beat() -> None:
    """Tell the guard that this rank goes on."""
    for guard in _guards:
        guard.beats += 1


def stop_watching() -> None:
    """End the guard of this process, if there is one."""
    while _guards:
        _guards.pop().stop()


def _await_cause(board: Optional[FaultBoard]) -> Optional[dict]:
    """Wait to be told why the connection broke, or to be ended."""
    if threading.current_thread() is threading.main_thread():
        # PreemptionHook would take the launcher's signal for a request to
        # save, which cannot be done any more
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for guard in _guards:
        guard.lost = True
    end = time.monotonic() + GRACE
    while board is not None and time.monotonic() < end:
        cause = board.read('cause')
        if cause:
            return cause
        time.sleep(0.1)
    return None


def _end(error: Exception) -> None:
    """Say whose fault an error is; returns if it is this rank's own."""
    board, rank = fault_board(), rank_from_environment()
    detail = traceback.format_exc()
    summary = f'{type(error).__name__}: {error}'
    if not lost_a_peer(error):
        if board is not None:
            board.post_cause(summary, detail)
        print(f'rank {rank} failed: {summary}', file=sys.stderr, flush=True)
        write_error_file(summary, detail)
        return
    cause = _await_cause(board)
    if cause is not None and cause['rank'] != rank:
        stop_watching()
        follow(cause)
        raise SystemExit(1) from None
    line = f'rank {rank} lost its connection, and no rank said why'
    print(line, file=sys.stderr, flush=True)
    write_error_file(f'{line}. {summary}', f'{line}\n{detail}', delay=5)


def leave_ranks() -> None:
    """Leave the process group, if there is one, when all is done.

    A thread of gloo that is still putting away the last collective while the
    interpreter ends aborts the process ("terminate called without an active
    exception"), and the launcher takes a training that was done for one that
    failed. Models hold on to the group, so that leaving it does not end its
    threads: they are given a moment.
    """
    stop_watching()
    if is_distributed():
        dist.destroy_process_group()
        time.sleep(MOMENT)


def guarded(function: Callable) -> Callable:
    """Let the rank at fault be the one that is shown, where there are several.

    For functions of parsed arguments with ``launcher``; with 'none' nothing
    is changed. An error is told to the other ranks and written where
    ``torchrun`` looks for it. A rank whose connection broke says which one
    failed, and nothing else. When the function is done the process group is
    left.

    Args:
        function (Callable): Takes an ``argparse.Namespace``.

    Returns:
        Callable: The same with this around it.
    """

    @functools.wraps(function)
    def wrapper(args, *more, **kwargs):
        if getattr(args, 'launcher', 'none') == 'none':
            return function(args, *more, **kwargs)
        try:
            result = function(args, *more, **kwargs)
        except Exception as error:
            # the guard goes on, and sees that the process ends
            _end(error)
            raise
        except SystemExit:  # of all ranks together, see PreemptionHook
            leave_ranks()
            raise
        leave_ranks()
        return result

    return wrapper
