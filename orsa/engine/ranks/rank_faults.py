# Copyright (c) orsa contributors. All rights reserved.
"""Several processes: the rank that failed says why, the others say who."""
import json
import os
import socket
import sys
import time
from datetime import timedelta
from typing import Any, Optional

import torch.distributed as dist
from mmengine.dist import is_distributed

# What gloo and torch's stores say when it is another rank that ended.
_LOST = ('connection closed by peer', 'connection reset by peer',
         'broken pipe', 'timed out waiting', 'socket timeout',
         'connection refused', 'pair closure', 'monitoredbarrier')


class FaultBoard:
    """What ranks tell each other of faults, through the launcher's store.

    It is a connection of its own: the process group's may be busy with what
    has failed. A store that is gone is no error, for it goes with its rank.

    Args:
        store (torch.distributed.Store): Of all ranks.
        rank (int): This one's.
        world_size (int): How many there are.
    """

    def __init__(self, store, rank: int, world_size: int):
        self._store, self.rank, self.world_size = store, rank, world_size

    def _ask(self, method: str, *args) -> Any:
        """Call the store, until it fails once: torch warns at every call."""
        if self._store is None:
            return None
        try:
            return getattr(self._store, method)(*args)
        except RuntimeError:
            self._store = None
            return None

    @classmethod
    def connect(cls, timeout: float = 10.) -> Optional['FaultBoard']:
        """Join the store by the address that launchers set.

        Returns:
            FaultBoard: None if there is no such address, or nobody answers.
        """
        try:
            store = dist.TCPStore(
                os.environ['MASTER_ADDR'],
                int(os.environ['MASTER_PORT']),
                is_master=False,
                wait_for_workers=False,
                timeout=timedelta(seconds=timeout))
            # a launcher that starts the ranks anew keeps its store
            turn = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
            return cls(
                dist.PrefixStore(f'orsa/faults/{turn}', store),
                dist.get_rank(), dist.get_world_size())
        except (KeyError, ValueError, RuntimeError):
            return None

    def post(self, key: str, value: Any, once: bool = False) -> None:
        """Write a value; with ``once`` only if there is none."""
        if once:
            self._ask('compare_set', key, '', json.dumps(value))
        else:
            self._ask('set', key, json.dumps(value))

    def read(self, key: str) -> Any:
        """A value, None if there is none."""
        if not self._ask('check', [key]):
            return None
        text = self._ask('get', key)
        return None if text is None else json.loads(text)

    def remove(self, key: str) -> None:
        """Take a value away, if there is one."""
        self._ask('delete_key', key)

    def post_cause(self,
                   summary: str,
                   detail: str,
                   rank: Optional[int] = -1,
                   hangs: bool = False) -> None:
        """Say why the job ends; what is said first stands.

        Args:
            summary (str): One line.
            detail (str): The traceback.
            rank (int, optional): Whose fault it is, None for nobody's in
                particular. Defaults to -1, this one's.
            hangs (bool): Whether that rank cannot say so itself. Defaults to
                False.
        """
        self.post(
            'cause',
            dict(
                rank=self.rank if rank == -1 else rank,
                hangs=hangs,
                host=socket.gethostname(),
                summary=summary,
                detail=detail[-8000:]),
            once=True)


_board: Optional[FaultBoard] = None


def fault_board() -> Optional[FaultBoard]:
    """The board of this process; None without several ranks."""
    global _board
    if _board is None and is_distributed():
        _board = FaultBoard.connect()
    return _board


def rank_from_environment() -> int:
    """The rank that the launcher gave, -1 if there is none."""
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if os.environ.get(name, '').isdigit():
            return int(os.environ[name])
    return -1


def lost_a_peer(error: BaseException) -> bool:
    """Whether an error says that another rank is gone, or does not come."""
    if isinstance(error, getattr(dist, 'DistError', ())):
        return True
    text = str(error).lower()
    if isinstance(error, RuntimeError) and any(w in text for w in _LOST):
        return True
    # an error on the way out of one
    return error.__context__ is not None and lost_a_peer(error.__context__)


def write_error_file(summary: str, detail: str, delay: int = 0) -> None:
    """Tell torch's launcher, which shows the earliest one as the root cause.

    Args:
        summary (str): One line.
        detail (str): The traceback.
        delay (int): Seconds to add to the time, for what only follows from
            another rank's fault. Defaults to 0.
    """
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if not path:
        return
    extra = dict(py_callstack=detail, timestamp=str(int(time.time()) + delay))
    try:
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(
                dict(message=dict(message=summary, extraInfo=extra)), file)
    except OSError as error:
        print(f"'{path}' cannot be written: {error}", file=sys.stderr)


def follow(cause: dict) -> None:
    """Say in one line whose fault it is that this rank ends."""
    if cause['hangs']:
        what = f"rank {cause['rank']} {cause['summary']}"
    elif cause['rank'] is None:
        what = cause['summary']
    else:
        what = (f"rank {cause['rank']} ({cause['host']}) failed: "
                f"{cause['summary']}")
    line = f'rank {rank_from_environment()} ends: {what}'
    print(line, file=sys.stderr, flush=True)
    write_error_file(line, f'{line}\n{cause["detail"]}', delay=5)
