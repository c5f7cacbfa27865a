# Copyright (c) orsa contributors. All rights reserved.
"""How every command and script of orsa ends: in one line, or quietly."""
import argparse
import contextlib
import os
import sys
from typing import Callable, Dict, Optional, TextIO

from .checkpoint_records import CheckpointError
from .versions import remedy

OK, SOME_FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130


class RenamedFlag(argparse.Action):
    """An old spelling of a flag, which works with one line of warning.

    Example:
        >>> parser.add_argument('--max-occluded', type=float)
        >>> parser.add_argument('--max-covered', dest='max_occluded',
        ...                     type=float, action=RenamedFlag)

    Args:
        dest (str): That of the new flag, whose spelling it is with dashes.
        kwargs: What the new flag has; for one without a value, ``nargs=0``
            and ``const``.
    """

    def __init__(self, option_strings, dest, **kwargs):
        kwargs.update(default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        super().__init__(option_strings, dest, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None):
        new = '--' + self.dest.replace('_', '-')
        print(f'orsa: {option_string} is now {new}', file=sys.stderr)
        setattr(namespace, self.dest,
                self.const if self.nargs == 0 else values)


class AbsentFlag(argparse.Action):
    """A flag of mmpretrain's that is not here: an error says what to do.

    Example:
        >>> parser.add_argument('--eigen-smooth', action=AbsentFlag,
        ...                     instead='maps are drawn as they are')

    Args:
        option_strings (list[str]): The flag.
        dest (str): Not set.
        instead (str): What to do, or what is done.
    """

    def __init__(self, option_strings, dest, instead: str):
        super().__init__(
            option_strings,
            dest,
            nargs='*',
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS)
        self.instead = instead

    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f'there is no {option_string}: {self.instead}')


def add_absent_flags(parser: argparse.ArgumentParser,
                     instead: Dict[str, str]) -> None:
    """Add an :class:`AbsentFlag` for each.

    Args:
        parser (argparse.ArgumentParser): Gets them.
        instead (dict[str, str]): By flag what to do; of several spellings
            with spaces between them.
    """
    for flags, text in instead.items():
        parser.add_argument(*flags.split(), action=AbsentFlag, instead=text)


class _UntilClosed:
    """A stream that drops what is printed once its reader has gone."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Callable, *args) -> None:
        try:
            do(*args)
        except BrokenPipeError:
            # as Python's documentation has it: what is buffered goes there
            with open(os.devnull, 'w') as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def fail(message: str, code: int = USAGE) -> int:
    """Print one line of error, and return the exit code."""
    print(f'orsa: {" ".join(message.split())}', file=sys.stderr)
    return code


def run_command(do: Callable[[], Optional[int]],
                training: bool = False) -> int:
    """Run a command or a script: what is wrong with its input is one line.

    A reader of what it prints may leave (``| head``): the work goes on.

    Args:
        do (Callable): Does it, and returns the exit code; None is 0.
        training (bool): Whether an error may come from the middle of a
            training, where its place is worth knowing: then only what is
            missing and refused checkpoints are one line. Defaults to False.

    Returns:
        int: The exit code.
    """
    plain = (FileNotFoundError, FileExistsError, CheckpointError) if training \
        else (OSError, ValueError, RuntimeError)
    with contextlib.redirect_stdout(_UntilClosed(sys.stdout)), \
            contextlib.redirect_stderr(_UntilClosed(sys.stderr)):
        try:
            return do() or OK
        except KeyboardInterrupt:
            return fail('stopped', INTERRUPTED)
        except ImportError as error:
            text = remedy(error.name) or str(error)
            return fail(f'{text} (see orsa doctor)', ENVIRONMENT)
        except plain as error:
            return fail(str(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def run_script(do: Callable[[], Optional[int]],
               training: bool = False) -> None:
    """As :func:`run_command`, and end the process if something failed.

    Raises:
        SystemExit: With the exit code, if it is not 0.
    """
    code = run_command(do, training)
    if code:
        raise SystemExit(code)
