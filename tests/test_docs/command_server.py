# Copyright (c) orsa contributors. All rights reserved.
"""A process that has imported what takes long, and forks for each command.

A command so starts in a fresh state, as from a shell, without the seconds in
which torch is imported. Run as a script it is the process itself.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence, Union

ROOT = Path(__file__).resolve().parents[2]


class Done(NamedTuple):
    """How a command ended: exit code, what it printed, processor seconds."""
    code: int
    output: str
    seconds: float


class CommandServer:
    """The process, as tests see it.

    Args:
        folder (Path): Where it writes what commands print.
    """

    def __init__(self, folder: Path):
        self._log = folder / 'printed.txt'
        self._process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', __file__],
            env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True)

    def run(self,
            what: Union[str, Sequence[str]],
            cwd: Path,
            env: Dict[str, str],
            until: Optional[str] = None,
            timeout: float = 300) -> Done:
        """Run the words of an orsa or python command, or Python code.

        Args:
            what (str | Sequence[str]): A string is code.
            cwd (Path): Where.
            env (dict): Settings of the environment besides its own.
            until (str, optional): It gets Ctrl-C when it has printed this,
                and fails if it never does.
            timeout (float): Seconds, after which it gets Ctrl-C.
        """
        asked = dict(
            what=what,
            cwd=str(cwd),
            env=env,
            until=until,
            timeout=timeout,
            log=str(self._log))
        self._process.stdin.write(json.dumps(asked) + '\n')
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Done(answer['code'], self._log.read_text(errors='replace'),
                    answer['seconds'])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)


def _run(what) -> int:
    import runpy

    from orsa import cli
    if isinstance(what, str):
        exec(compile(what, 'block', 'exec'), dict(__name__='__main__'))
        return 0
    if what[0] == 'orsa':
        return cli.main(what[1:])
    sys.argv = what[1:]
    sys.path.insert(0, os.path.dirname(what[1]))
    runpy.run_path(what[1], run_name='__main__')
    return 0


def _child(asked: dict) -> None:
    os.setsid()
    log = os.open(asked['log'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked['cwd'])
    os.environ.update(asked['env'])
    try:
        code = _run(asked['what'])
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # without the parent's exit handlers, but with one's own children gone
    os._exit(code or 0)


def _wait(pid: int, asked: dict) -> tuple:
    """Exit code and usage; Ctrl-C after the time, the end 20 s later."""
    stop = time.monotonic() + asked['timeout']
    until, told = asked['until'], False
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used
        if until and until in Path(asked['log']).read_text(errors='replace'):
            stop, until = 0, None
        if not told and time.monotonic() > stop:
            os.kill(pid, signal.SIGINT)
            told, stop = True, time.monotonic() + 20
        elif told and time.monotonic() > stop:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(.01)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    import matplotlib.pyplot  # noqa: F401
    import mmpretrain.models  # noqa: F401
    import sklearn.metrics  # noqa: F401

    import orsa.apis  # noqa: F401
    for line in sys.stdin:
        asked = json.loads(line)
        Path(asked['log']).write_text('')
        pid = os.fork()
        if not pid:
            answers.close()
            _child(asked)
        code, used = _wait(pid, asked)
        answer = dict(code=code, seconds=used.ru_utime + used.ru_stime)
        answers.write(json.dumps(answer) + '\n')
        answers.flush()


if __name__ == '__main__':
    import orsa  # noqa: F401 before OpenCV, which it bounds
    _serve()
