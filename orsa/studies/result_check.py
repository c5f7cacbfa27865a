# Copyright (c) orsa contributors. All rights reserved.
"""Check the file of a result without the model that it is of."""
import os.path as osp
from collections import Counter
from typing import Iterator, List, NamedTuple, Optional

from orsa.apis.model import load_config
from orsa.utils.fileio import file_hash, load_json
from .result_file import (describe_data, list_hash, metrics_by_condition,
                          read_run, schema_errors)


class Findings(NamedTuple):
    """What :func:`validate` found, in lines.

    Attributes:
        checked (list[str]): What was checked, and is right.
        wrong (list[str]): What is wrong.
        unchecked (list[str]): What was not checked, and why.
    """
    checked: List[str]
    wrong: List[str]
    unchecked: List[str]


def validate(path: str, data: Optional[str] = None) -> Findings:
    """Check a result: its schema, its figures, its files, its data.

    Args:
        path (str): The file; predictions lie beside it.
        data (str, optional): A config whose test data are those of the
            result. Defaults to None: the data are not checked.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON.
    """
    result = load_json(path)
    wrong = list(schema_errors(result))
    if wrong:
        return Findings([], wrong, ['all else: it is not of the schema'])
    checked = [f"the schema, version {result['schema_version']}"]
    seeds = [run['seed'] for run in result['runs']]
    if len(set(seeds)) < len(seeds):
        wrong.append(f'runs have the seeds {seeds}, each should be there once')
    for run in result['runs']:
        found = list(_run_errors(path, result, run))
        wrong += [f"seed {run['seed']}: {line}" for line in found]
        if not found:
            checked.append(
                f"seed {run['seed']}: the predictions are those of the file, "
                f"and the metrics of {len(run['metrics'])} conditions follow "
                'from them')
    unchecked = [
        'that the predictions are those of the checkpoint: run the command',
        "what is stated: 'method', 'epoch', 'selected_on', 'hardware'"
    ]
    if data is None:
        unchecked.insert(0, 'the faces and their pixels: give --data CONFIG')
    else:
        found = list(_data_errors(result, data))
        wrong += found
        if not found:
            checked.append(f"the {result['dataset']['num_faces']} faces of "
                           f"'{data}': names, classes and pixels")
    return Findings(checked, wrong, unchecked)


def _run_errors(path: str, result: dict, run: dict) -> Iterator[str]:
    """What is wrong with a run and its file of predictions."""
    if (run['checkpoint_sha256'] is None) != bool(run['no_checkpoint']):
        yield ('exactly one of checkpoint_sha256 and no_checkpoint, a reason, '
               'should be there')
    file = osp.join(osp.dirname(path), run['predictions'])
    try:
        digest, found = file_hash(file), read_run(path, run)
        metrics = metrics_by_condition(found)
        faces = list_hash(found.names, found.labels)
    except (OSError, ValueError) as error:
        yield f"'{run['predictions']}' cannot be read: {error}"
        return
    data, counts = result['dataset'], Counter(found.labels)
    protocol = result['protocol']
    cells = {
        'clean', *(f'{k} {s}' for k in protocol['kinds']
                   for s in protocol['severities'])
    }
    by_class = {c: counts[c] for c in found.classes}
    # what it is, what the file says of it, what the predictions have
    compared = [
        ('predictions_sha256', run['predictions_sha256'], digest),
        ('classes', result['classes'], found.classes),
        ('num_faces', data['num_faces'], len(found.names)),
        ('faces_by_class', data['faces_by_class'], by_class),
        ('list_sha256', data['list_sha256'], faces),
        ('seed of the occluders', protocol['seed'], found.seed),
        ('conditions of the protocol', sorted(cells), sorted(found.scores)),
        ('conditions', sorted(run['metrics']), sorted(metrics)),
    ]
    for what, stated, real in compared:
        if stated != real:
            yield f"{what} is {stated}, '{run['predictions']}' has {real}"
    for name in run['metrics'].keys() & metrics.keys():
        for key, real in metrics[name].items():
            # NaN too, which JSON of Python may have
            if not abs(run['metrics'][name][key] - real) <= 1e-6:
                yield (f"{key} of '{name}' is {run['metrics'][name][key]}, "
                       f'the predictions give {real}')


def _data_errors(result: dict, config: str) -> Iterator[str]:
    """What of the data is not as in the test data of a config."""
    own = describe_data(load_config(config), result['classes'])
    for key in ('num_faces', 'list_sha256', 'pixels_sha256'):
        if result['dataset'][key] != own[key]:
            yield (f"{key} is {result['dataset'][key]}, the test data of "
                   f"'{config}' have {own[key]}")
