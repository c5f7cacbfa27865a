# Copyright (c) orsa contributors. All rights reserved.
"""The file of a result: what is in it, written and read."""
import copy
import hashlib
import json
import os.path as osp
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
import torch
from jsonschema import Draft202012Validator
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.apis.model import build_model
from orsa.evaluation.predictions import Predictions, read_predictions
from orsa.utils.checkpoint import local_file
from orsa.utils.configs import scope_of, split_pipeline, type_name
from orsa.utils.fileio import (atomic_path, dump_json, file_hash, load_json,
                               save_npz)
from orsa.utils.image_files import name_of
from orsa.version import __version__
from .comparison import mean_metrics, shared_conditions
from .complexity import count_parameters, processor_name
from .occlusion_metrics import METRICS

SCHEMA = load_json(str(Path(__file__).with_name('result_schema.json')))
# what a test cannot know of itself: required, and optional
STATED = ('title', 'seed', 'epoch', 'selected_on')
MAY_STATE = ('paper', 'code', 'starts_from', 'data')
_NO_FILE = ('it is no file of the tested machine',
            'the predictions were made by another program')
# of a dataset's config, what does not say which faces it has
_NOT_FACES = ('type', 'split', 'data_root', 'pipeline', 'pack', '_scope_')


def schema_errors(value: Any,
                  schema: dict = SCHEMA,
                  place: str = '') -> Iterator[str]:
    """What of a value is not as a JSON Schema says, a line each.

    Args:
        value (Any): What JSON gave.
        schema (dict): Defaults to that of a result.
        place (str): What to call the value. Defaults to '', the file.
    """
    for error in Draft202012Validator(schema).iter_errors(value):
        where = place + error.json_path[1:].lstrip('.')
        yield f"{where or 'the file'}: {error.message[:200]}"


def list_hash(names: Sequence[str], labels: Sequence[str]) -> str:
    """SHA-256 of a list of faces, whatever their order.

    Args:
        names (Sequence[str]): Of the N faces.
        labels (Sequence[str]): Their expressions.
    """
    lines = sorted(f'{n} {c}\n' for n, c in zip(names, labels, strict=True))
    return hashlib.sha256(''.join(lines).encode()).hexdigest()


def describe_data(cfg: Config, classes: Sequence[str]) -> dict:
    """Describe the test faces of a config, of some classes.

    Args:
        cfg (Config): With a ``test_dataloader``.
        classes (Sequence[str]): Faces of other classes are left out.

    Returns:
        dict: ``dataset`` of a result, but for its title.
    """
    dataset = copy.deepcopy(cfg.test_dataloader.dataset)
    dataset.pipeline = split_pipeline(dataset.pipeline).load
    with scope_of(cfg):
        built = DATASETS.build(copy.deepcopy(dataset))
    own, faces, digest = built.metainfo['classes'], [], hashlib.sha256()
    for i in range(len(built)):
        info = built.get_data_info(i)
        if own[info['gt_label']] in classes:
            faces.append((name_of(info), own[info['gt_label']], i))
    # in the order of the list's lines
    for _, _, i in sorted(faces, key=lambda face: f'{face[0]} {face[1]}\n'):
        image = np.ascontiguousarray(built[i]['img'])
        digest.update('{} {}'.format(*image.shape).encode())
        digest.update(image)
    names, labels, _ = zip(*faces)
    counts = Counter(labels)
    arguments = {k: v for k, v in dataset.items() if k not in _NOT_FACES}
    return dict(
        type=type_name(dataset),
        split=dataset.get('split'),
        arguments=json.loads(json.dumps(arguments)),  # tuples become lists
        num_faces=len(faces),
        faces_by_class={c: counts[c]
                        for c in classes},
        list_sha256=list_hash(names, labels),
        pixels_sha256=digest.hexdigest())


def metrics_by_condition(found: Predictions) -> Dict[str, dict]:
    """Metrics of clean faces, each occluder, their means, and lists.

    Args:
        found (Predictions): Of one run.

    Returns:
        dict[str, dict]: By condition ``num_faces``, ``accuracy``, ``uar`` and
        ``macro_f1``, in percent.
    """
    conditions = {}
    for name, (cells, chosen) in shared_conditions([found]).items():
        metrics = mean_metrics(found, cells, chosen)
        conditions[name] = dict(
            num_faces=int(chosen.sum()), **{k: metrics[k]
                                            for k in METRICS})
    return conditions


def check_about(about: Dict[str, str], elsewhere: bool = False) -> None:
    """Check what is stated of a result, before the test.

    Args:
        about (dict[str, str]): See :func:`write_result`.
        elsewhere (bool): Whether predictions were made by another program,
            whose ``parameters`` have to be stated. Defaults to False.

    Raises:
        ValueError: If something is missing or unknown.
    """
    stated = (*STATED, 'parameters') if elsewhere else STATED
    unknown = sorted(set(about) - {*stated, *MAY_STATE})
    missing = [key for key in stated if key not in about]
    if unknown or missing:
        raise ValueError(
            f'--about lacks {missing} and does not know {unknown}: it takes '
            f'KEY=VALUE of {list(stated)}, which are needed, and of '
            f'{list(MAY_STATE)}')
    for key, kind, what in (('seed', r'\d+', 'a whole number, that of the '
                             'training'), ('parameters', r'\d+(\.\d+)?',
                                           'a number of millions')):
        if key in about and not re.fullmatch(kind, about[key]):
            raise ValueError(f"--about {key}='{about[key]}': expected {what}")
    parts = SCHEMA['properties']
    known = dict(
        parts,
        **parts['method']['properties'],
        data=parts['dataset']['properties']['title'])
    for key in STATED + MAY_STATE:
        if key in about and key in known:
            for line in schema_errors(about[key], known[key],
                                      f'--about {key}'):
                raise ValueError(line)


def write_result(path: str, report: str, cfg: Config,
                 checkpoint: Optional[str], about: Dict[str, str],
                 command: str) -> dict:
    """Write a result, or add the run of another seed to a file of it.

    A run of the same seed is replaced. The predictions are written beside the
    file, as ``NAME_seedSEED.npz``.

    Args:
        path (str): The file, .json.
        report (str): What the test left, see
            :func:`orsa.evaluation.predictions.read_predictions`.
        cfg (Config): Of the test, with the command line in it.
        checkpoint (str, optional): The path or address that was tested; None
            where the predictions were made by another program.
        about (dict[str, str]): What a test does not know: ``title``, ``seed``
            of the training, ``epoch`` ('last' or 'best'), ``selected_on``
            ('nothing', 'validation' or 'test'); and ``paper``, ``code``
            (addresses), ``starts_from`` and ``data``, a title of the data;
            without a checkpoint ``parameters``, in millions.
        command (str): What makes the result again.

    Returns:
        dict: The content of the file.

    Raises:
        ValueError: If the file is of another method, dataset or protocol, or
            something is not as the schema says.
    """
    check_about(about, checkpoint is None)
    found = read_predictions(report)
    dataset = describe_data(cfg, found.classes)
    if list_hash(found.names, found.labels) != dataset['list_sha256']:
        raise ValueError(
            f"'{report}' has other faces than the test data: test all of "
            "them, with 'name' in meta_keys of PackInputs")
    file = checkpoint and local_file(checkpoint)
    result = dict(
        schema_version=1,
        **_method(cfg, checkpoint, about),
        protocol=_protocol(load_json(report)),
        dataset=dict(title=about.get('data', dataset['type']), **dataset),
        classes=found.classes)
    seed = int(about['seed'])
    others = [r for r in _runs_before(path, result) if r['seed'] != seed]
    faces = osp.splitext(path)[0] + f'_seed{seed}.npz'
    run = dict(
        seed=seed,
        orsa=__version__,
        commit=_commit(),
        checkpoint_sha256=file and file_hash(file),
        no_checkpoint=None if file else _NO_FILE[checkpoint is None],
        command=command,
        hardware=_hardware(),
        predictions=osp.basename(faces),
        predictions_sha256=None,
        metrics=metrics_by_condition(found))
    result['runs'] = sorted([*others, run], key=lambda r: r['seed'])
    with atomic_path(faces) as temporary:
        _save_predictions(temporary, found)
        run['predictions_sha256'] = file_hash(temporary)
        # before anything is replaced
        for line in schema_errors(result):
            raise ValueError(f"'{path}' is not written: {line}")
    dump_json(result, path)
    return result


def check_method(path: str, cfg: Config, checkpoint: Optional[str],
                 about: Dict[str, str]) -> None:
    """Check before a test that a file is of the same method, if it exists.

    Args:
        path (str): See :func:`write_result`, as the others.
        cfg (Config): Of the test.
        checkpoint (str, optional): What is tested.
        about (dict[str, str]): What is stated.

    Raises:
        ValueError: If the file is of another method.
    """
    _runs_before(path, _method(cfg, checkpoint, about))


def _method(cfg: Config, checkpoint: Optional[str], about: dict) -> dict:
    """What of a result is known before the test."""
    if checkpoint is None:
        parameters = float(about['parameters'])
    else:
        parameters = count_parameters(build_model(cfg,
                                                  pretrained=False))[0] / 1e6
    method = {
        k: about.get(k)
        for k in ('title', 'paper', 'code', 'starts_from')
    }
    return dict(
        method=dict(method, parameters=round(parameters, 2)),
        epoch=about['epoch'],
        selected_on=about['selected_on'])


def _runs_before(path: str, result: dict) -> List[dict]:
    """The runs that a file has.

    Raises:
        ValueError: If the file is of another method, dataset or protocol.
    """
    if not osp.isfile(path):
        return []
    before = read_result(path)
    differ = [k for k, v in result.items() if before[k] != v]
    if differ:
        raise ValueError(
            f"'{path}' is of another {', '.join(differ)}: name another file "
            'with --result')
    return before['runs']


def _protocol(report: dict) -> dict:
    """What the report of a test says of its conditions."""
    suite = 'faces_file' in report
    return dict(
        name='occlusion suite' if suite else 'plain test',
        version=report['format'] if suite else None,
        seed=report['seed'] if suite else None,
        kinds=list(report['kinds']) if suite else [],
        severities=report['severities'] if suite else [])


def _save_predictions(path: str, found: Predictions) -> None:
    index = {name: i for i, name in enumerate(found.classes)}
    save_npz(
        path,
        names=np.array(found.names),
        labels=np.array([index[name] for name in found.labels], np.uint8),
        classes=np.array(found.classes),
        conditions=np.array(list(found.scores)),
        predicted=np.stack(
            [s.argmax(1).astype(np.uint8) for s in found.scores.values()]),
        seed=np.array([] if found.seed is None else [found.seed]),
        **{
            f'list/{k}': v
            for k, v in found.lists.items()
        })


def _commit() -> Optional[str]:
    """The commit of this code, None where it is not in git."""
    if not shutil.which('git'):
        return None

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ['git', '-C', osp.dirname(__file__), *words],
            capture_output=True,
            text=True)

    # an installed package may lie in somebody else's repository
    if git('ls-files', '--error-unmatch', osp.basename(__file__)).returncode:
        return None
    return git('describe', '--always', '--dirty', '--abbrev=40',
               '--exclude=*').stdout.strip() or None


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'{processor_name()}, {torch.get_num_threads()} threads'


def read_result(path: str) -> dict:
    """Read a result.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none, with what is wrong first.
    """
    result = load_json(path)
    for line in schema_errors(result):
        raise ValueError(f"'{path}' is no result: {line}. orsa validate lists "
                         'all that is wrong')
    return result


def read_run(path: str, run: dict) -> Predictions:
    """Read the predictions of one of the ``runs`` of a result.

    Args:
        path (str): The file of the result.
        run (dict): The run.
    """
    return read_predictions(osp.join(osp.dirname(path), run['predictions']))
