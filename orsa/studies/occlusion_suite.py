# Copyright (c) orsa contributors. All rights reserved.
"""Test a model on faces with every kind of occluder.

``tools/test.py CONFIG CHECKPOINT --occlusion-suite`` calls :func:`run_suite`;
``docs/occlusion_benchmark.md`` is the protocol.
"""
import argparse
import copy
import hashlib
import json
import os
import os.path as osp
import time
from functools import lru_cache
from itertools import islice
from typing import Dict, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import DataLoader

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import config_classes, init_model, load_config
from orsa.apis.testing import check_checkpoint, merge_test_arguments
from orsa.apis.training import set_work_dir
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.datasets import FERDataset, OccludeFace
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import COMMON_FRACTIONS, FRACTIONS, KINDS
from orsa.evaluation import FERMetric
from orsa.utils.checkpoint import local_file
from orsa.utils.classes import class_names, common_classes
from orsa.utils.configs import config_hash, scope_of
from orsa.utils.fileio import dump_json, file_hash, save_npz
from orsa.version import __version__
from .occlusion_conditions import (LIST_NAMES, Condition, ConditionFaces,
                                   name_of, read_list, set_condition,
                                   with_occluder, with_ratio)
from .occlusion_metrics import group_of, list_metrics, summarise
from .occlusion_report import write_report
from .study import Study, log

FORMAT = 1
FACES, RUN = 'occlusion_suite_faces.npz', 'occlusion_suite_run.json'
SEVERITIES = tuple(range(1, len(COMMON_FRACTIONS) + 1))


class OcclusionSuite(Study):
    """Test a checkpoint on faces with occluders.

    The test split of the config is tested as it is, with every kind of
    :class:`orsa.datasets.OccludeFace` at every severity, and where it has
    lists of really occluded faces, on these. The model is loaded once. Its
    predictions are stored as a condition (a kind at a severity) ends, under
    all that they depend on: a suite that was stopped continues where it was,
    and a condition of another checkpoint, config or seed is computed again.

    The images and the report are the same for any number of workers and any
    order of the conditions.

    Args:
        config (str | Config): A config file, 'orsa::NAME.py', the name of a
            model that ships with its weights, or a Config.
        checkpoint (str, optional): A path or URL; None for a model by name.
            Defaults to None.
        kinds (Sequence[str], optional): Some of ``OccludeFace.KINDS``.
            Defaults to None, all.
        severities (Sequence[int]): Some of 1 to 5. Defaults to all.
        lists (dict | Sequence[str], optional): Lists of really occluded
            faces as ``subset_file`` of :class:`orsa.datasets.FERDataset` takes
            them, e.g. RAN's; a dict names them. Defaults to None: those that
            the config names as ``occlusion_lists``, else what is called
            'occlusion_test.txt' or 'rafdb_occlusion_list.txt' in the data's
            folder.
        work_dir (str, optional): Where everything is written. Defaults to
            None, the config's, or ``work_dirs/CONFIG_NAME``.
        seed (int): Another seed, other occluders. Defaults to 0.
        workers (int): Processes that make the images; 0 makes them in this
            one. Defaults to 0.
        batch_size (int, optional): Defaults to None, that of the config.
        device (str, optional): Defaults to None, the GPU if there is one.

    Raises:
        ValueError: For unknown kinds or severities, no checkpoint, a pipeline
            that does not begin by loading the image and end by PackInputs,
            and faces that are not square or have no names.

    Examples:
        >>> import orsa
        >>> suite = orsa.OcclusionSuite(
        ...     'orsa::orsanet_lite_rafdb.py', 'best.pth',
        ...     kinds=['hand', 'mask'], severities=[1, 3, 5])
        >>> report = suite.run()
        >>> report['means']['common']['area']['uar']
    """

    def __init__(self,
                 config: Union[str, Config],
                 checkpoint: Optional[str] = None,
                 kinds: Optional[Sequence[str]] = None,
                 severities: Sequence[int] = SEVERITIES,
                 lists: Union[Dict[str, str], Sequence[str], None] = None,
                 work_dir: Optional[str] = None,
                 seed: int = 0,
                 workers: int = 0,
                 batch_size: Optional[int] = None,
                 device: Optional[str] = None):
        if isinstance(config, str) and looks_like_name(config):
            config, checkpoint = resolve_model(config, checkpoint)
        if checkpoint is None:
            raise ValueError('OcclusionSuite needs a checkpoint')
        self.kinds = _some_of(kinds, KINDS, 'kinds')
        self.severities = _some_of(severities, SEVERITIES, 'severities')
        self.cfg = load_config(config)
        self.config = config if isinstance(config, str) else config.filename
        self.checkpoint = str(checkpoint)
        self.seed, self.workers = int(seed), int(workers)
        loader = self.cfg.test_dataloader
        self.batch_size = int(batch_size or loader.get('batch_size', 32))
        self.device = device or ('cuda'
                                 if torch.cuda.is_available() else 'cpu')
        set_work_dir(self.cfg, work_dir, str(self.config))
        super().__init__(self.cfg.work_dir)
        self._open_data(loader.dataset)
        self.lists = self._find_lists(lists)
        self._model = self._common = None

    # ---------------------------------------------------------------- data

    def _open_data(self, dataset: dict) -> None:
        self._data_cfg = with_ratio(dataset)
        with scope_of(self.cfg):
            self.clean = DATASETS.build(copy.deepcopy(self._data_cfg))
        infos = [self.clean.get_data_info(i) for i in range(len(self.clean))]
        self.names = [name_of(info) for info in infos]
        self.labels = np.array([int(i['gt_label']) for i in infos], np.int64)
        self.data_classes = list(self.clean.metainfo['classes'])
        self.occluded = None
        if not (self.kinds and self.severities):
            return
        cfg = with_occluder(self._data_cfg, self.seed)
        with scope_of(self.cfg):
            self.occluded = DATASETS.build(cfg)
        # what would fail in the middle of the long part fails here
        set_condition(self.occluded,
                      Condition(self.kinds[0], self.severities[0]))
        try:
            self.occluded[0]
        except KeyError as error:
            raise ValueError(
                'OcclusionSuite draws an occluder by the name of the face, '
                f'but the samples of {type(self.clean).__name__} have none: '
                f'{error}') from error

    def _find_lists(self, lists) -> Dict[str, str]:
        if lists is None:
            lists = self.cfg.get('occlusion_lists')
        if lists is None:
            lists = []
            root = getattr(self.clean, 'data_root', '')
            # lists select test samples, folds and training samples they lack
            if root and getattr(self.clean, 'split', 'test') == 'test':
                lists = [osp.join(root, name) for name in LIST_NAMES]
                lists = [path for path in lists if osp.isfile(path)]
        if not hasattr(lists, 'items'):
            lists = {
                osp.splitext(osp.basename(osp.normpath(path)))[0]: path
                for path in lists
            }
        if lists and not isinstance(self.clean, FERDataset):
            raise ValueError('lists of faces are read by orsa.FERDataset, '
                             f'{type(self.clean).__name__} is none')
        return dict(lists)

    def sample(self, condition: Condition,
               face: int) -> Tuple[np.ndarray, float]:
        """A face as the data have it, with its occluder; before its resizing.

        Args:
            condition (Condition): With an occluder.
            face (int): Which one.

        Returns:
            tuple[np.ndarray, float]: BGR of (H, W, 3), the occluded fraction.
        """
        set_condition(self.occluded, condition)
        results = self.occluded.get_data_info(face)
        for transform in self.occluded.pipeline.transforms:
            results = transform(results)
            if isinstance(transform, OccludeFace):
                break
        return results['img'], results['occlusion_ratio']

    # ---------------------------------------------------------- conditions

    def conditions(self) -> List[Condition]:
        """The faces as they are, then every kind at every severity."""
        return [
            Condition(),
            *(Condition(k, s) for k in self.kinds for s in self.severities)
        ]

    def result_file(self, condition: Condition) -> str:
        """Where the predictions of a condition are stored."""
        return self.file('occlusion_cells',
                         str(condition).replace(' ', '_') + '.npz')

    def key(self, condition: Condition) -> Dict[str, str]:
        """All that a condition depends on, hashed, by what it is."""
        if self._common is None:
            path = local_file(self.checkpoint)
            faces = [self.names, self.labels.tolist(), self.data_classes]
            self._common = dict(
                format=str(FORMAT),
                checkpoint=file_hash(path) if path else self.checkpoint,
                model=_hash(self.cfg.model),
                data=_hash(self._data_cfg),
                faces=_hash(faces))
        seed = self.seed if condition.severity else None
        return dict(
            self._common,
            occluder=_hash([*condition, seed,
                            _example(condition, self.seed)]))

    def read(self, path: str) -> Tuple[dict, dict]:
        """The key and the predictions in a file."""
        with np.load(path, allow_pickle=False) as content:
            found = dict(content)
        return json.loads(str(found['fingerprint'])), dict(
            scores=found['scores'],
            ratio=found['ratio'],
            pictures=str(found['pictures']),
            classes=found['classes'].tolist())

    def compute(self, conditions: Sequence[Condition]) -> None:
        """Compute and store the predictions of conditions.

        Args:
            conditions (Sequence[Condition]): In their order.
        """
        if not conditions:
            return
        model, labels = self._load_model(), self._labels_of_model()
        starts = range(0, len(self.names), self.batch_size)
        batches = [[
            (number, i)
            for i in range(start, min(start +
                                      self.batch_size, len(self.names)))
        ] for number in range(len(conditions)) for start in starts]
        if self.workers:
            cv2.setNumThreads(0)  # its threads do not survive a fork
        # one for all conditions: workers go on while the model is busy
        loader = DataLoader(
            ConditionFaces(self.clean, self.occluded, conditions),
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=default_collate)
        predicted = predict_dataset(model, loader)
        for number, condition in enumerate(conditions):
            begin = time.time()
            found = self._gather(islice(predicted, len(starts)))
            self._store(condition, found)
            scores = found['scores'][:, :len(self.model_classes)]
            accuracy = 100 * (scores.argmax(1) == labels).mean()
            log(f'{number + 1}/{len(conditions)} {condition}: accuracy '
                f"{accuracy:.2f}, occluded {found['ratio'].mean():.3f}, "
                f'{time.time() - begin:.1f} s')

    @staticmethod
    def _gather(predicted: Iterator[tuple]) -> dict:
        scores, ratio, digest = [], [], hashlib.sha256()
        for batch, samples in predicted:
            for image in batch['inputs']:
                digest.update(np.ascontiguousarray(image.numpy()))
            ratio += [
                s.get('occlusion_ratio', 0.) for s in batch['data_samples']
            ]
            scores += [s.pred_score.float().cpu().numpy() for s in samples]
        return dict(
            scores=np.stack(scores).astype(np.float32),
            ratio=np.array(ratio, np.float64),
            pictures=digest.hexdigest())

    def _store(self, condition: Condition, found: dict) -> None:
        save_npz(
            self.result_file(condition),
            fingerprint=json.dumps(self.key(condition)),
            names=self.names,
            labels=self.labels,
            classes=list(self.model_classes),
            **found)

    def _load_model(self) -> torch.nn.Module:
        if self._model is None:
            content = CheckpointLoader.load_checkpoint(
                self.checkpoint, map_location='cpu')
            self.model_classes = list(
                class_names(content, config_classes(self.cfg),
                            self.checkpoint))
            del content
            common_classes(self.model_classes, self.data_classes)
            cfg = copy.deepcopy(self.cfg)
            cfg.test_evaluator = []  # which may have classes too
            cfg.test_dataloader.dataset.classes = self.model_classes
            self._model = init_model(cfg, self.checkpoint, self.device)
        return self._model

    def _labels_of_model(self) -> np.ndarray:
        index = {name: i for i, name in enumerate(self.model_classes)}
        return np.array([index.get(name, -1)
                         for name in self.data_classes])[self.labels]

    # -------------------------------------------------------------- report

    def run(self) -> dict:
        """Compute what is not stored yet, and write the report.

        Returns:
            dict: The report, as in ``occlusion_suite.json``.
        """
        begin = time.time()
        os.makedirs(self.work_dir, exist_ok=True)
        conditions = self.conditions()
        todo = self.missing(conditions)
        log(f'{len(conditions) - len(todo)} of {len(conditions)} conditions '
            f'of {len(self.names)} faces are stored')
        self.compute(todo)
        report, faces = self.collect()
        save_npz(self.file(FACES), **faces)
        files = write_report(report, self.work_dir, self.rows())
        dump_json(
            # what the report does not depend on
            dict(
                finished=time.strftime('%Y-%m-%dT%H:%M:%S%z'),
                seconds=round(time.time() - begin, 1),
                cells_computed=len(todo),
                workers=self.workers,
                batch_size=self.batch_size,
                device=self.device,
                work_dir=self.work_dir,
                orsa=__version__,
                torch=torch.__version__,
                opencv=cv2.__version__),
            self.file(RUN))
        for path in files:
            log(f'wrote {path}')
        return report

    def collect(self) -> Tuple[dict, dict]:
        """The report of the stored conditions, and their predictions.

        Returns:
            tuple[dict, dict]: The report; and arrays ``names`` (N, ),
            ``labels`` (N, ), ``classes`` (C, ), ``cells`` (K, ), the names of
            the conditions, ``scores`` (K, N, C), ``ratio`` (K, N) and, by
            list, ``list/NAME`` (N, ), whether a face is in it.

        Raises:
            RuntimeError: If a condition has not been computed.
        """
        found, labels, names, classes, mapping = self._matched()
        clean = found[Condition()]['scores']
        report = dict(
            format=FORMAT,
            config=str(self.config),
            checkpoint=self.checkpoint,
            checkpoint_sha256=self.key(Condition())['checkpoint'],
            dataset=self._describe_data(len(names)),
            classes=classes,
            **mapping,
            seed=self.seed,
            kinds={
                k: dict(group=group_of(k), shares=list(FRACTIONS[k]))
                for k in self.kinds
            },
            severities=list(self.severities),
            faces_file=FACES,
            **summarise(found, self.kinds, self.severities, labels, classes),
            lists={})
        members = {}
        for title, path in self.lists.items():
            with scope_of(self.cfg):
                listed, types = read_list(self.clean, self._data_cfg, path)
            members[f'list/{title}'] = np.isin(names, listed)
            report['lists'][title] = dict(
                file=osp.basename(osp.normpath(path)),
                **list_metrics(names, types, listed, clean, labels, classes))
        faces = dict(
            names=np.array(names),
            labels=labels,
            classes=np.array(classes),
            cells=np.array([str(c) for c in found]),
            scores=np.stack([f['scores'] for f in found.values()]),
            ratio=np.stack([f['ratio'] for f in found.values()]),
            **members)
        return report, faces

    def _matched(self) -> tuple:
        """The stored predictions, matched to the data's classes."""
        found, labels, names = {}, self.labels, self.names
        classes, mapping = self.data_classes, {}
        for condition in self.conditions():
            stored = self.stored(condition)
            if stored is None:
                raise RuntimeError(f'{condition} has not been computed')
            if stored['classes'] != self.data_classes:
                scores, labels, chosen, mapping = FERMetric.match_classes(
                    stored['scores'], self.labels.tolist(), stored['classes'],
                    self.data_classes)
                labels = np.array(labels)
                names = [self.names[i] for i in chosen]
                stored.update(
                    scores=np.stack(scores), ratio=stored['ratio'][chosen])
                classes = common_classes(stored['classes'], self.data_classes)
            found[condition] = stored
        # a head may have more outputs than there are classes
        outputs = found[Condition()]['scores'].shape[1]
        classes = [*classes, *map(str, range(len(classes), outputs))]
        return found, labels, names, classes, mapping

    def _describe_data(self, num_faces: int) -> dict:
        root = getattr(self.clean, 'data_root', None)
        return dict(
            type=type(self.clean).__name__,
            data_root=root,
            split=getattr(self.clean, 'split', None),
            num_faces=num_faces,
            num_skipped=len(getattr(self.clean, 'skipped', [])))

    def rows(self, faces: int = 2) -> list:
        """The grid of occluders: the first faces of some classes.

        Args:
            faces (int): How many. Defaults to 2.

        Returns:
            list[tuple]: As ``draw_occluder_grid`` takes them.
        """
        if self.occluded is None:
            return []
        _, first = np.unique(self.labels, return_index=True)
        chosen = sorted(first.tolist())[:faces]
        return [(kind, [
            self.sample(Condition(kind, severity), face) for face in chosen
            for severity in self.severities
        ]) for kind in self.kinds]


def _some_of(values: Optional[Sequence], known: Sequence, what: str) -> tuple:
    """Some of the known values, each once, in their order."""
    values = known if values is None else values
    values = [values] if isinstance(values, (str, int)) else list(values)
    unknown = [v for v in values if v not in known]
    if unknown:
        raise ValueError(f'OcclusionSuite: unknown {what} {unknown}, expected '
                         f'some of {list(known)}')
    return tuple(v for v in known if v in values)


def _hash(obj) -> str:
    return config_hash(obj)[:16]


@lru_cache(maxsize=None)
def _example(condition: Condition, seed: int) -> str:
    """A hash of an occluder on the mean face: its drawing may change."""
    if not condition.severity:
        return ''
    grey = np.full((64, 64, 3), 128, np.uint8)
    results = OccludeFace(condition.severity, condition.kind, seed)(
        dict(img=grey, name='usual', gt_keypoints=BASE / 2 - .5))
    return hashlib.sha256(results['img'].tobytes()).hexdigest()


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/test.py`` for the suite.

    Args:
        parser (ArgumentParser): Of the command.
    """
    group = parser.add_argument_group('test under occlusion')
    group.add_argument(
        '--occlusion-suite',
        action='store_true',
        help='test with every kind of occluder at every severity, and on '
        'lists of really occluded faces, see docs/occlusion_benchmark.md')
    group.add_argument(
        '--kinds', nargs='+', choices=KINDS, help='default: all')
    group.add_argument(
        '--severities',
        nargs='+',
        type=int,
        choices=SEVERITIES,
        default=SEVERITIES,
        help='default: all')
    group.add_argument(
        '--lists',
        nargs='*',
        metavar='FILE',
        help='lists of really occluded faces (default: those of the config, '
        "or of the data's folder)")
    group.add_argument(
        '--workers',
        type=int,
        help="processes that make the images (default: the config's)")
    group.add_argument(
        '--occlusion-seed',
        type=int,
        default=0,
        help='another seed, other occluders (default: 0)')


def run_suite(args: argparse.Namespace) -> dict:
    """Run the suite by parsed arguments of a test and of the suite.

    Args:
        args (Namespace): See :func:`add_suite_arguments`.

    Returns:
        dict: The report.

    Raises:
        ValueError: For arguments that it does not support.
    """
    refused = [
        name for name, value in (('--amp', args.amp), ('--out', args.out),
                                 ('--launcher', args.launcher != 'none'))
        if value
    ]
    if refused:
        raise ValueError(f'--occlusion-suite does not go with {refused}')
    check_checkpoint(args.checkpoint)
    cfg = merge_test_arguments(load_config(args.config), args)
    workers = args.workers
    if workers is None:
        workers = cfg.test_dataloader.get('num_workers', 0)
    suite = OcclusionSuite(
        cfg,
        args.checkpoint,
        kinds=args.kinds,
        severities=args.severities,
        lists=args.lists,
        work_dir=cfg.work_dir,
        seed=args.occlusion_seed,
        workers=workers)
    suite.config = args.config
    return suite.run()
