# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/test.py`` does, for use from Python and other commands."""
import argparse
import copy
import logging
import os
import os.path as osp
from typing import List, Optional

import mmengine
import numpy as np
from matplotlib import pyplot
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.fileio.io import file_handlers
from mmengine.hooks.test_time_aug_hook import PrepareTTAHook
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from orsa.engine.distributed import rank_main
from orsa.engine.prior_cache.serving import use_prior_cache
from orsa.evaluation import FERMetric
from orsa.evaluation.predictions import PREDICTIONS
from orsa.utils.configs import (nested_dicts, scope_of, split_pipeline,
                                type_name)
from orsa.utils.fileio import dump_json
from .model import config_classes, load_config
from .training import (add_common_arguments, build_runner, set_dataloaders,
                       set_work_dir)

# prefix of a FERMetric that is not the config's
_BESIDE = 'fer'


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of testing."""
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='another file for the predictions (default: predictions.json in '
        'the work dir): .json, which orsa reads, or .pkl')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out holds (default: pred)')
    parser.add_argument(
        '--amp', action='store_true', help='test in mixed precision')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: tta_model and tta_pipeline of the '
        'config, else the mean score of each image and its mirror image')
    parser.add_argument(
        '--show-dir', help='folder for the images with their predictions')
    parser.add_argument(
        '--show', action='store_true', help='show them in a window')
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        metavar='N',
        help='with --show or --show-dir: of every Nth sample (default: 1)')
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2.,
        metavar='SECONDS',
        help='with --show: for each image (default: 2)')
    parser.add_argument(
        '--max-samples',
        type=int,
        metavar='N',
        help='test on N samples, spread evenly over the split')
    parser.add_argument(
        '--data-from',
        metavar='CONFIG',
        help='test on the test data of this config (a file of '
        '_base_/datasets, or orsa::NAME.py), with the pipeline of CONFIG; '
        'classes are matched by name')
    add_common_arguments(parser)


def merge_test_arguments(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config."""
    check_test_data(cfg, args.config)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False
    set_work_dir(cfg, args.work_dir, args.config)
    if getattr(args, 'data_from', None):
        use_data_from(cfg, load_config(args.data_from))
    set_dataloaders(cfg, args)
    merge_data_arguments(cfg, args)
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        _set_visualization(cfg, args)
    if args.tta:
        _set_tta(cfg)
    return cfg


def check_test_data(cfg: Config, config: str) -> None:
    """Raise a ValueError if a config, called ``config``, has no test data."""
    if not cfg.get('test_dataloader'):
        raise ValueError(f"'{config}' has no test data: it needs "
                         'test_dataloader, test_evaluator and test_cfg')


def merge_data_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Put ``--cfg-options`` and ``--max-samples`` into the config."""
    cfg.merge_from_dict(args.cfg_options)
    if args.max_samples is not None:
        _limit_samples(cfg, args.max_samples)


def _check_classifier(cfg: Config, flag: str) -> None:
    scope = cfg.get('default_scope', 'mmpretrain')
    if scope != 'mmpretrain':
        raise ValueError(f"{flag} is for classifiers: use {scope}'s own "
                         'tools/test.py for its models')


def _set_visualization(cfg: Config, args: argparse.Namespace) -> None:
    """Let the hook of the config, or ours, draw the predictions."""
    _check_classifier(cfg, '--show')
    if args.interval < 1:
        raise ValueError(f'--interval should be positive, got {args.interval}')
    if args.show and pyplot.get_backend().lower() == 'agg':
        raise ValueError('--show needs a screen, and matplotlib finds none: '
                         '--show-dir DIR writes the images instead')
    hooks = cfg.setdefault('default_hooks', dict())
    hook = hooks.get('visualization') or dict(type='VisualizationHook')
    if type_name(hook) == 'VisualizationHook':
        hook['type'] = 'orsa.FaceVisualizationHook'
    hooks['visualization'] = dict(
        hook,
        enable=True,
        show=args.show,
        wait_time=args.wait_time,
        out_dir=args.show_dir,
        interval=args.interval)


def _set_tta(cfg: Config) -> None:
    """Let the test data come in several views, by default two."""
    _check_classifier(cfg, '--tta')
    cfg.setdefault('tta_model', dict(type='orsa.AverageScoreTTA'))
    for dataset in nested_dicts(cfg.test_dataloader.dataset):
        if 'pipeline' not in dataset:
            continue
        load, transforms, pack = split_pipeline(dataset['pipeline'])
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]
        dataset['pipeline'] = cfg.get('tta_pipeline') or [
            *load, *transforms,
            dict(type='TestTimeAug', transforms=[flips, pack])
        ]


def use_data_from(cfg: Config, other: Config) -> None:
    """Test on the data of another config, for cross-dataset evaluation.

    The pipeline stays that of ``cfg``, for the model needs it; only how an
    image is loaded or drawn is the other's where it differs. The metric gets
    the classes of ``cfg``, for a checkpoint that carries no names.

    Args:
        cfg (Config): That of the model; is changed.
        other (Config): One with a ``test_dataloader``.

    Raises:
        ValueError: If ``other`` has no test data.
    """
    if not other.get('test_dataloader'):
        raise ValueError(f"'{other.filename}' has no test_dataloader, "
                         '--data-from needs one')
    own, classes = cfg.test_dataloader.dataset, config_classes(cfg)
    dataset = copy.deepcopy(other.test_dataloader.dataset)
    pipeline, other_load = (split_pipeline(own.pipeline),
                            split_pipeline(dataset.pipeline).load)
    if list(map(type_name, other_load)) != list(map(type_name, pipeline.load)):
        pipeline = pipeline._replace(load=other_load)
    dataset.pipeline = sum(pipeline, [])
    cfg.test_dataloader.dataset = dataset
    for evaluator in _evaluators(cfg):
        if type_name(evaluator) == 'FERMetric':
            evaluator.setdefault('model_classes', classes and list(classes))
    # their numbers of classes may differ now, and need not be compared
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or []
        if type_name(hook) != 'ClassNumCheckHook'
    ]


def _limit_samples(cfg: Config, count: int) -> None:
    if count < 1:
        raise ValueError(f'--max-samples should be positive, but got {count}')
    dataset = cfg.test_dataloader.dataset
    with scope_of(cfg):
        total = len(DATASETS.build(copy.deepcopy(dataset)))
    if count < total:
        # Spread over the list: many are sorted by class.
        dataset.indices = np.linspace(0, total - 1,
                                      count).round().astype(int).tolist()


def check_checkpoint(path: str) -> None:
    """Raise an error if a path leads to no file."""
    if not osp.isfile(path) and '://' not in path:
        raise FileNotFoundError(f"there is no checkpoint '{path}'")


@rank_main
def test(args: argparse.Namespace) -> dict:
    """Test by parsed arguments, see :func:`add_test_arguments`.

    Writes ``metrics.json`` into the work dir and, with
    :class:`orsa.FERMetric`, the predictions for single faces,
    ``predictions.json``.

    Returns:
        dict: The metrics.
    """
    check_checkpoint(args.checkpoint)
    if args.out_item and not args.out:
        raise ValueError('--out-item says what --out FILE holds: give both')
    suffix = osp.splitext(args.out or '')[1]
    if args.out_item == 'metrics' and suffix[1:] not in file_handlers:
        raise ValueError(f"--out should end in one of {list(file_handlers)}, "
                         f"but is '{args.out}'")
    out = args.out if args.out_item != 'metrics' else None
    as_json = bool(out) and suffix == '.json'
    if out and suffix not in ('.json', '.pkl', '.pickle'):
        raise ValueError(f"--out should end in .json or .pkl, but is '{out}'")
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = merge_test_arguments(load_config(args.config), args)
    scope = cfg.get('default_scope', 'mmpretrain')
    if as_json and scope != 'mmpretrain':
        raise ValueError('--out FILE.json is of classifiers: of models of '
                         f'{scope} take --out FILE.pkl')
    if as_json or getattr(args, 'result', None):
        _add_fer_metric(cfg)
    use_prior_cache(cfg, ('test', ), args.checkpoint)
    with scope_of(cfg):  # the Runner's own would stay
        runner = build_runner(cfg)
        if args.tta:
            # around the model after its checkpoint is loaded and checked
            runner.register_hook(PrepareTTAHook(cfg.tta_model))
        if is_main_process():
            _find_duplicates(runner)
        if out and not as_json:
            # through the process group: no folder has to be shared
            runner.test_evaluator.metrics.append(
                DumpResults(out_file_path=out, collect_device='gpu'))
        metrics = runner.test()
    if is_main_process():
        report = dict(config=args.config, checkpoint=args.checkpoint)
        if getattr(args, 'data_from', None):
            report['data_from'] = args.data_from
        report.update(_report(runner, metrics))
        # which other metrics than FERMetric do not report
        report.setdefault('classes',
                          runner.test_evaluator.dataset_meta.get('classes'))
        path = osp.join(cfg.work_dir, 'metrics.json')
        dump_json(report, path)
        print(f'wrote {path}')
        _keep_predictions(runner, osp.join(cfg.work_dir, PREDICTIONS))
        if as_json:
            _keep_predictions(runner, out)
        if args.out_item == 'metrics':
            mmengine.dump(metrics, args.out)
    return metrics


def _find_duplicates(runner) -> None:
    """Tell the metrics which test faces are in the training data too."""
    dataset = runner.test_loop.dataloader.dataset
    where = getattr(dataset, 'duplicates_of', None)
    if not where:
        return
    other = 'the data of ' + ', '.join(f'{k}={v}' for k, v in where.items())
    try:
        names = dataset.duplicates()
    except OSError as error:
        print_log(
            f'whether test samples are in {other} too is not known: '
            f'{error}',
            logger='current',
            level=logging.WARNING)
        return
    print_log(
        f'{len(names)} of {len(dataset)} test samples are in {other} '
        'too, byte for byte' +
        (': every metric is reported without them too' if names else ''),
        logger='current')
    metric = _fer_metric(runner)
    if metric:
        metric.duplicates = names


def _add_fer_metric(cfg: Config) -> None:
    """Let a config without FERMetric have one, beside its own metrics."""
    evaluators = _evaluators(cfg)
    if 'FERMetric' not in map(type_name, evaluators):
        extra = dict(type='orsa.FERMetric', prefix=_BESIDE)
        cfg.test_evaluator = [*evaluators, extra]


def _evaluators(cfg: Config) -> List[dict]:
    found = cfg.test_evaluator
    return found if isinstance(found, list) else [found]


def _fer_metric(runner) -> Optional[FERMetric]:
    found = (
        m for m in runner.test_evaluator.metrics if isinstance(m, FERMetric))
    return next(found, None)


def _keep_predictions(runner, path: str) -> None:
    """Write the predictions for single faces, or leave none of before."""
    metric = _fer_metric(runner)
    if metric:
        dump_json(
            dict(
                classes=metric.report()['classes'],
                samples=metric.predictions), path)
    elif osp.isfile(path):
        os.remove(path)


def _report(runner, metrics: dict) -> dict:
    """The full report of FERMetric where there is one, else plain metrics."""
    metric = _fer_metric(runner)
    if metric is None:
        return metrics
    if metric.prefix != _BESIDE:
        return metric.report()
    own = {k: v for k, v in metrics.items() if not k.startswith(f'{_BESIDE}/')}
    return {**metric.report(), **own}
