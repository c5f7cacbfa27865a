# Copyright (c) orsa contributors. All rights reserved.
"""A process with all slow imports done, which forks for each command.

A command starts in a fresh state, as from a shell, without the seconds that
importing torch takes. Run as a script this file is the process itself.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence, Union

ROOT = Path(__file__).resolve().parents[1]


class Done(NamedTuple):
    """Result of a command: exit code, output, CPU seconds."""
    code: int
    output: str
    seconds: float


class CommandServer:
    """The process, seen from the tests.

    Args:
        folder (Path): Folder of the file with the output of a command.
    """

    def __init__(self, folder: Path):
        self._log = folder / 'output.txt'
        self._process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', __file__],
            env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True)

    def run(self,
            what: Union[str, Sequence[str]],
            cwd: Path,
            env: Optional[Dict[str, str]] = None,
            until: Optional[str] = None,
            timeout: float = 300) -> Done:
        """Run the words of an orsa or python command, or Python code.

        Args:
            what (str | Sequence[str]): A string is Python code.
            cwd (Path): Working directory.
            env (dict): Additional environment variables.
            until (str, optional): Send Ctrl-C once this is printed.
            timeout (float): Seconds, after which Ctrl-C is sent.

        Returns:
            Done: Exit code, stdout and stderr together, CPU seconds.
        """
        request = dict(
            what=what,
            cwd=str(cwd),
            env=env or {},
            until=until,
            timeout=timeout,
            log=str(self._log))
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        return Done(result['code'], self._log.read_text(errors='replace'),
                    result['seconds'])

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()


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


def _child(request: dict) -> None:
    os.setsid()
    log = os.open(request['log'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request['cwd'])
    os.environ.update(request['env'])
    try:
        code = _run(request['what'])
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
    # skips the exit handlers of the parent
    os._exit(code or 0)


def _wait(pid: int, request: dict) -> tuple:
    """Return exit code and usage; Ctrl-C at the timeout, SIGKILL 20 s on."""
    stop = time.monotonic() + request['timeout']
    until, interrupted = request['until'], False
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used
        if until and until in Path(request['log']).read_text(errors='replace'):
            stop, until = 0, None
        if not interrupted and time.monotonic() > stop:
            os.kill(pid, signal.SIGINT)
            interrupted, stop = True, time.monotonic() + 20
        elif interrupted and time.monotonic() > stop:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(.01)


def _serve() -> None:
    results = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    import matplotlib.pyplot  # noqa: F401
    import mmengine.config
    import mmpretrain.models  # noqa: F401
    import sklearn.metrics  # noqa: F401

    import orsa.apis  # noqa: F401

    # yapf formats the config in MMEngine's log and dump for seconds
    mmengine.config.config.FormatCode = lambda text, **kwargs: (text, True)
    for line in sys.stdin:
        request = json.loads(line)
        Path(request['log']).write_text('')
        pid = os.fork()
        if not pid:
            results.close()
            _child(request)
        code, used = _wait(pid, request)
        result = dict(code=code, seconds=used.ru_utime + used.ru_stime)
        results.write(json.dumps(result) + '\n')
        results.flush()


if __name__ == '__main__':
    import orsa  # noqa: F401 before OpenCV, which it bounds
    _serve()
