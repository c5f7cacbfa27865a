# Copyright (c) orsa contributors. All rights reserved.
"""The installation of the wheel alone: its size, how fast it starts, tests.

Example:
  python tools/benchmarks/light.py photo.jpg
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from orsa.utils.command import run_script

ROOT = Path(__file__).resolve().parents[2]
_ROUNDS = 5


def call(*command, **kwargs):
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def measure(*command) -> tuple:
    """Processor seconds and MiB of memory of a command."""
    process = subprocess.Popen([str(c) for c in command],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f'{command} failed')
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def size_of(folder: Path) -> float:
    """MiB of the files in a folder."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return sum(path.lstat().st_size for path in files) / 2**20


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photo')
    parser.add_argument('--no-tests', action='store_true')
    args = parser.parse_args()
    os.environ.pop('PYTHONPATH', None)  # it would be found there
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        call(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
             '--no-build-isolation', '-w', folder, ROOT)
        call(sys.executable, '-m', 'venv', folder / 'venv')
        python = folder / 'venv/bin/python'
        site = Path(
            subprocess.check_output([
                python, '-c',
                'import sysconfig; print(sysconfig.get_path("purelib"))'
            ],
                                    text=True).strip())
        before = size_of(site)
        call(python, '-m', 'pip', 'install', '-q', *folder.glob('*.whl'))
        print(f'installed: {size_of(site) - before:.0f} MiB, of which '
              f'{size_of(site / "orsa"):.0f} orsa')
        command = (folder / 'venv/bin/orsa', 'predict', args.photo, '--out')
        rows = [measure(*command, folder / str(i)) for i in range(_ROUNDS)]
        seconds, memory = zip(*rows)
        print(f'one photograph: {statistics.median(seconds):.2f} s of '
              f'processor time ({min(seconds):.2f} to {max(seconds):.2f}), '
              f'{max(memory):.0f} MiB of memory')
        if not args.no_tests:
            call(python, '-m', 'pip', 'install', '-q', 'pytest')
            call(
                python,
                '-m',
                'pytest',
                '-q',
                ROOT / 'tests/test_light',
                '--confcutdir',
                ROOT / 'tests/test_light',
                '--rootdir',
                folder,
                '-p',
                'no:cacheprovider',
                '-c',
                os.devnull,
                cwd=folder)


if __name__ == '__main__':
    run_script(main)
