# Copyright (c) orsa contributors. All rights reserved.
import json
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from .figures import COLOURS, plain_axes, saved_figure


def read_scalars(work_dir: str) -> Tuple[List[dict], List[dict]]:
    """Read what MMEngine's LocalVisBackend wrote during a training.

    The files of a training that was resumed are read in order of time, a later
    record of a step replaces an earlier one, and a last line that is cut off
    is passed over.

    Args:
        work_dir (str): Work dir of the training.

    Returns:
        tuple[list[dict], list[dict]]: Records of training (with ``loss``),
        ordered by iteration, and of validation, ordered by epoch.

    Raises:
        FileNotFoundError: If there is no record at all.
        ValueError: If a line, not the last of its file, is damaged.
    """
    files = sorted(Path(work_dir).rglob('scalars.json'))
    if not files:
        raise FileNotFoundError(f"'{work_dir}' holds no scalars.json: is it "
                                'the work dir of a training?')
    train: Dict[int, dict] = {}
    val: Dict[int, dict] = {}
    for file in files:
        for record in _records(file):
            if 'loss' in record:
                train[record['iter']] = record
            elif 'accuracy' in record and 'step' in record:
                val[record['step']] = record
    return [train[k] for k in sorted(train)], [val[k] for k in sorted(val)]


def _records(path: Path) -> Iterator[dict]:
    """The objects of a file with one to a line."""
    lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            # whoever writes a line ends it: what has no end was cut off
            if number == len(lines) and not line.endswith('\n'):
                return
            raise ValueError(f"'{path}', line {number}, is no JSON "
                             f'({error})') from error


def plot_curves(work_dir: str, out: str) -> None:
    """Draw losses and validation metrics over the epochs of a training.

    Args:
        work_dir (str): Work dir of the training.
        out (str): The PNG to write.
    """
    train, val = read_scalars(work_dir)
    terms = sorted({k for r in train for k in r if 'loss' in k})
    with saved_figure(out, (11, 4), columns=2) as (_, (left, right)):
        for index, term in enumerate(terms):
            left.plot(
                *zip(*[(r['iter'], r[term]) for r in train if term in r]),
                label=term,
                color=COLOURS[index % len(COLOURS)],
                linewidth=2 if term == 'loss' else 1)
        left.set(xlabel='iteration', ylabel='loss', title='Training')
        left.set_ylim(bottom=0)
        left.legend(frameon=False)
        for index, metric in enumerate(('accuracy', 'uar', 'macro_f1')):
            points = [(r['step'], r[metric]) for r in val if metric in r]
            if points:
                right.plot(
                    *zip(*points),
                    label=f'{metric} (last {points[-1][1]:.1f})',
                    color=COLOURS[index],
                    marker='o',
                    markersize=3)
        right.set(
            xlabel='epoch',
            ylabel='percent',
            title='Validation',
            ylim=(0, 100))
        if right.lines:
            right.legend(frameon=False, loc='lower right')
        plain_axes(left, right)
