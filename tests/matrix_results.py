# Copyright (c) orsa contributors. All rights reserved.
"""The results of ``tools/test_matrix.sh``: record one, look one up, print all.

Needs nothing but Python, because the stack may be what is broken. Files of
results are CSV, a line a run, appended.
"""
import csv
import datetime
import os
import platform
import sys
from importlib import metadata, util
from xml.etree import ElementTree

PACKAGES = ('torch', 'torchvision', 'numpy', 'opencv-python', 'mmcv',
            'mmengine', 'mmpretrain', 'mmsegmentation', 'mmpose', 'mmdet')
OTHER_NAMES = {'mmcv': 'mmcv-lite', 'mmdet': 'mmdetection'}
COUNTS = ('passed', 'failed', 'skipped', 'seconds')
FIELDS = ('row', 'date', 'commit', 'pytest', 'python', *PACKAGES, *COUNTS)


def version(name: str) -> str:
    """Version of ``name`` or of what stands in for it, and which it is."""
    other = OTHER_NAMES.get(name, name)
    for candidate in (name, f'{name}-lite', f'onedl-{name}', f'onedl-{other}'):
        try:
            found = metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
        if name == 'mmcv':
            compiled = util.find_spec('mmcv._ext') is not None
            found += ' (compiled)' if compiled else ' (no operators)'
        prefix = 'onedl ' if candidate.startswith('onedl') else ''
        return prefix + found
    return '-'


def counts(path: str) -> dict:
    """Counts of a JUnit file; without one, the run did not reach its end."""
    if not os.path.isfile(path):
        return dict(passed=0, failed='no end', skipped=0, seconds=0)
    suite = next(ElementTree.parse(path).iter('testsuite')).attrib
    failed = int(suite['failures']) + int(suite['errors'])
    skipped = int(suite['skipped'])
    return dict(
        passed=int(suite['tests']) - failed - skipped,
        failed=failed,
        skipped=skipped,
        seconds=round(float(suite['time'])))


def read(path: str) -> list:
    """The lines of a file of results; none if there is no file."""
    if not os.path.isfile(path):
        return []
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def record(path: str, xml: str, row: str, commit: str, args: str) -> int:
    """Append the line of a run that ended, of this very environment."""
    line = dict(
        row=row,
        date=datetime.date.today().isoformat(),
        commit=commit,
        pytest=args,
        python=platform.python_version(),
        **{name: version(name)
           for name in PACKAGES},
        **counts(xml))
    new = not os.path.isfile(path)
    with open(path, 'a', newline='') as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(line)
    return 0 if line['failed'] == 0 and line['passed'] else 1


def has(path: str, row: str, commit: str, args: str) -> int:
    """0 if the row has a result, 1 if not."""
    key = dict(row=row, commit=commit, pytest=args)
    return 0 if any(key.items() <= line.items() for line in read(path)) else 1


def table(path: str) -> int:
    """Print the last line of every row as a table in Markdown."""
    last = {line['row']: line for line in read(path)}
    alone = ('torch', 'numpy', 'opencv-python', 'mmcv')
    together = PACKAGES[5:]
    heads = ('row', 'date', 'python', *alone, ', '.join(together), 'tests',
             *COUNTS)
    print(f'| {" | ".join(heads)} |')
    print('| --- ' * len(heads) + '|')
    for line in last.values():
        line['tests'] = line['pytest'] or 'all'
        line[', '.join(together)] = ', '.join(line[name] for name in together)
        print(f'| {" | ".join(line[head] for head in heads)} |')
    return 0


if __name__ == '__main__':
    actions = dict(record=record, has=has, table=table)
    sys.exit(actions[sys.argv[1]](*sys.argv[2:]))
