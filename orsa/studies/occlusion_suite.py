# Copyright (c) orsa contributors. All rights reserved.
"""One model, one set of faces, everything that can be put before them.

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
from typing import Dict, Iterable, List, Optional, Sequence, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import DataLoader

from orsa.apis.model import config_classes, init_model, load_config
from orsa.apis.testing import check_checkpoint, merge_test_arguments
from orsa.apis.training import set_work_dir
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.datasets import FERDataset, OccludeFace
from orsa.datasets.drawing.landmarks import BASE
from orsa.datasets.drawing.occluders import COMMON_SHARES, KINDS, SHARES
from orsa.evaluation import FERMetric
from orsa.utils.classes import class_names, common_classes
from orsa.utils.configs import config_hash, scope_of
from orsa.utils.fileio import dump_json, file_hash, save_npz
from orsa.utils.pretrained import local_file
from orsa.version import __version__
from .occlusion_conditions import (Cell, CellFaces, name_of, read_list,
                                   set_cell, with_names, with_occluder)
from .occlusion_metrics import group_of, list_figures, summarise

FORMAT = 1
REPORT, FACES = 'occlusion_suite.json', 'occlusion_suite_faces.npz'
RUN = 'occlusion_suite_run.json'
SEVERITIES = tuple(range(1, len(COMMON_SHARES) + 1))
# what a list of really occluded faces is called in a data set's folder
LIST_NAMES = ('occlusion_test.txt', 'rafdb_occlusion_list.txt')


class OcclusionSuite:
    """Test a checkpoint on faces that something is in front of.

    The test split of the config is tested as it is, with every kind of
    :class:`orsa.datasets.OccludeFace` at every severity, and where it has
    lists of really occluded faces, on these. The model is loaded once. What it
    says of every face is stored as a cell (a kind at a severity) ends, under
    all that it depends on: a suite that was stopped goes on where it was, and
    a cell of another checkpoint, config or seed is computed again.

    The pictures and the report are the same for any number of workers and any
    order of the cells.

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
        workers (int): Processes that make the pictures; 0 makes them in this
            one. Defaults to 0.
        batch_size (int, optional): Defaults to None, that of the config.
        device (str, optional): Defaults to None, the GPU if there is one.

    Raises:
        ValueError: For unknown kinds or severities, no checkpoint, a pipeline
            that does not begin by loading the picture and end by PackInputs,
            and faces that nothing can be laid over: they are not square, or
            have no names.

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
            raise ValueError('OcclusionSuite needs a checkpoint: nothing can '
                             'be said of a model with random weights')
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
        self.work_dir = self.cfg.work_dir
        self._open_data(loader.dataset)
        self.lists = self._find_lists(lists)
        self._model = None

    # ---------------------------------------------------------------- data

    def _open_data(self, dataset: dict) -> None:
        self._data_cfg = with_names(dataset)
        with scope_of(self.cfg):
            self.clean = DATASETS.build(copy.deepcopy(self._data_cfg))
        infos = [self.clean.get_data_info(i) for i in range(len(self.clean))]
        self.names = [name_of(info) for info in infos]
        self.labels = np.array([int(i['gt_label']) for i in infos], np.int64)
        self.data_classes = list(self.clean.metainfo['classes'])
        self.hidden = None
        if self.kinds and self.severities:
            cfg = with_occluder(self._data_cfg, self.seed)
            with scope_of(self.cfg):
                self.hidden = DATASETS.build(cfg)
            self._try_one()

    def _try_one(self) -> None:
        """Say before the long part what would fail in its middle."""
        set_cell(self.hidden, Cell(self.kinds[0], self.severities[0]))
        try:
            self.hidden[0]
        except KeyError as error:
            raise ValueError(
                'OcclusionSuite chooses what is laid over a face by its name, '
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

    def sample(self, cell: Cell, face: int) -> tuple:
        """A face as the data have it, with its occluder; before it is resized.

        Args:
            cell (Cell): What is in front of it.
            face (int): Which one.

        Returns:
            tuple[np.ndarray, float]: BGR of (H, W, 3), the covered share.
        """
        set_cell(self.hidden, cell)
        results = self.hidden.get_data_info(face)
        for transform in self.hidden.pipeline.transforms:
            results = transform(results)
            if isinstance(transform, OccludeFace):
                break
        return results['img'], results['occlusion_ratio']

    # --------------------------------------------------------------- cells

    def cells(self) -> List[Cell]:
        """The faces as they are, then every kind at every severity."""
        return [Cell()
                ] + [Cell(k, s) for k in self.kinds for s in self.severities]

    def path_of(self, cell: Cell) -> str:
        """Where what the model says in a cell is stored."""
        return osp.join(self.work_dir, 'occlusion_cells',
                        str(cell).replace(' ', '_') + '.npz')

    def fingerprint(self, cell: Cell) -> Dict[str, str]:
        """All that a cell depends on, hashed, by what it is."""
        if not hasattr(self, '_common'):
            path = local_file(self.checkpoint)
            self._common = dict(
                format=str(FORMAT),
                checkpoint=file_hash(path) if path else self.checkpoint,
                model=_hash(self.cfg.model),
                data=_hash(self._data_cfg),
                faces=_hash(
                    [self.names,
                     self.labels.tolist(), self.data_classes]))
        seed = self.seed if cell.severity else None
        return dict(
            self._common,
            occluder=_hash([*cell, seed, _drawn(cell, self.seed)]))

    def stored(self, cell: Cell) -> Optional[dict]:
        """What is stored of a cell, None if it has to be computed.

        What was stored by another checkpoint, config or seed is named.
        """
        path = self.path_of(cell)
        if not osp.isfile(path):
            return None
        try:
            with np.load(path, allow_pickle=False) as content:
                found = dict(content)
            before = json.loads(str(found['fingerprint']))
        except Exception as error:  # of zipfile, zlib, numpy, json, ...
            _log(f"{cell}: '{path}' is damaged ({error}), it is computed "
                 'again')
            return None
        now = self.fingerprint(cell)
        other = [k for k in now if before.get(k) != now[k]]
        if other:
            _log(f'{cell}: what is stored is stale, it has another '
                 f'{", ".join(other)}; it is computed again')
            return None
        return dict(
            scores=found['scores'],
            ratio=found['ratio'],
            pictures=str(found['pictures']),
            classes=found['classes'].tolist())

    def compute(self, cells: Sequence[Cell]) -> None:
        """Compute and store cells, one after the other."""
        if not cells:
            return
        model = self._load_model()
        starts = range(0, len(self.names), self.batch_size)
        batches = [[
            (number, i)
            for i in range(start, min(start +
                                      self.batch_size, len(self.names)))
        ] for number in range(len(cells)) for start in starts]
        if self.workers:
            cv2.setNumThreads(0)  # its threads do not survive a fork
        # one for all cells: workers go on while the model is busy
        batches = iter(
            DataLoader(
                CellFaces(self.clean, self.hidden, cells),
                batch_sampler=batches,
                num_workers=self.workers,
                collate_fn=default_collate))
        for number, cell in enumerate(cells):
            begin = time.time()
            said = self._ask(model, batches, len(starts))
            self._store(cell, said)
            right = (
                said['scores'][:, :len(self.model_classes)].argmax(1) ==
                self._labels_of_model())
            _log(f'{number + 1}/{len(cells)} {cell}: accuracy '
                 f'{100 * right.mean():.2f}, covered '
                 f"{said['ratio'].mean():.3f}, {time.time() - begin:.1f} s")

    def _ask(self, model: torch.nn.Module, batches: Iterable,
             count: int) -> Dict[str, np.ndarray]:
        scores, ratio, digest = [], [], hashlib.sha256()
        for _ in range(count):
            batch = next(batches)
            for picture in batch['inputs']:
                digest.update(np.ascontiguousarray(picture.numpy()))
            ratio += [
                s.get('occlusion_ratio', 0.) for s in batch['data_samples']
            ]
            with torch.no_grad():
                answers = model.test_step(batch)
            scores += [a.pred_score.float().cpu().numpy() for a in answers]
        return dict(
            scores=np.stack(scores).astype(np.float32),
            ratio=np.array(ratio, np.float64),
            pictures=digest.hexdigest())

    def _store(self, cell: Cell, said: dict) -> None:
        save_npz(
            self.path_of(cell),
            fingerprint=json.dumps(self.fingerprint(cell)),
            names=self.names,
            labels=self.labels,
            classes=list(self.model_classes),
            **said)

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
            cfg.test_evaluator = []  # which may say them too
            cfg.test_dataloader.dataset.classes = self.model_classes
            self._model = init_model(cfg, self.checkpoint, self.device)
        return self._model

    def _labels_of_model(self) -> np.ndarray:
        place = {name: i for i, name in enumerate(self.model_classes)}
        names = [place.get(name, -1) for name in self.data_classes]
        return np.array(names)[self.labels]

    # -------------------------------------------------------------- report

    def run(self) -> dict:
        """Compute what is not stored yet, and write the report.

        Returns:
            dict: The report, as in ``occlusion_suite.json``.
        """
        begin = time.time()
        os.makedirs(self.work_dir, exist_ok=True)
        todo = [c for c in self.cells() if self.stored(c) is None]
        total = len(self.cells())
        _log(f'{total - len(todo)} of {total} cells of {len(self.names)} '
             'faces are stored')
        self.compute(todo)
        report, faces = self.collect()
        from .occlusion_report import write_report
        save_npz(osp.join(self.work_dir, FACES), **faces)
        dump_json(report, osp.join(self.work_dir, REPORT))
        dump_json(
            self._circumstances(len(todo), begin),
            osp.join(self.work_dir, RUN))
        for path in write_report(report, self.work_dir, self.rows()):
            _log(f'wrote {path}')
        return report

    def _circumstances(self, computed: int, begin: float) -> dict:
        """What the report does not depend on."""
        return dict(
            finished=time.strftime('%Y-%m-%dT%H:%M:%S%z'),
            seconds=round(time.time() - begin, 1),
            cells_computed=computed,
            workers=self.workers,
            batch_size=self.batch_size,
            device=self.device,
            work_dir=self.work_dir,
            orsa=__version__,
            torch=torch.__version__,
            opencv=cv2.__version__)

    def collect(self) -> tuple:
        """The report of the stored cells, and what was said of every face.

        Returns:
            tuple[dict, dict]: The report; and arrays ``names`` (N, ),
            ``labels`` (N, ), ``classes`` (C, ), ``cells`` (K, ), ``scores``
            (K, N, C), ``ratio`` (K, N) and, by list, ``list/NAME`` (N, ),
            whether a face is in it.
        """
        found, labels, names, classes, mapping = self._matched()
        report = dict(
            format=FORMAT,
            config=str(self.config),
            checkpoint=self.checkpoint,
            checkpoint_sha256=self.fingerprint(Cell())['checkpoint'],
            dataset=self._describe_data(len(names)),
            classes=classes,
            **mapping,
            seed=self.seed,
            kinds={
                k: dict(group=group_of(k), shares=list(SHARES[k]))
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
                **list_figures(names, types, listed, found[Cell()]['scores'],
                               labels, classes))
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
        """What is stored of all cells, brought to the data's classes."""
        found, labels, names = {}, self.labels, self.names
        classes, mapping = self.data_classes, {}
        for cell in self.cells():
            said = self.stored(cell)
            if said is None:
                raise RuntimeError(f'{cell} has not been computed')
            scores = said['scores']
            if said['classes'] != self.data_classes:
                scores, labels, kept, mapping = FERMetric.match_classes(
                    scores, self.labels.tolist(), said['classes'],
                    self.data_classes)
                scores, labels = np.stack(scores), np.array(labels)
                names = [self.names[i] for i in kept]
                said['ratio'] = said['ratio'][kept]
                classes = common_classes(said['classes'], self.data_classes)
            found[cell] = dict(said, scores=scores)
        # a head may have more outputs than there are classes
        classes = [*classes]
        classes += map(str,
                       range(len(classes), found[Cell()]['scores'].shape[1]))
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
        """What the sheet of occluders shows: the first faces of two classes.

        Returns:
            list[tuple]: As ``draw_occluder_grid`` takes them.
        """
        if self.hidden is None:
            return []
        _, first = np.unique(self.labels, return_index=True)
        chosen = sorted(first.tolist())[:faces]
        return [(kind, [
            self.sample(Cell(kind, severity), face) for face in chosen
            for severity in self.severities
        ]) for kind in self.kinds]


def _some_of(values: Optional[Sequence], known: Sequence, what: str) -> tuple:
    """Some of what is known, each once, in its order."""
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
def _drawn(cell: Cell, seed: int) -> str:
    """A hash of an occluder on the usual face: what draws it may change."""
    if not cell.severity:
        return ''
    grey = np.full((64, 64, 3), 128, np.uint8)
    results = OccludeFace(cell.severity, cell.kind, seed)(
        dict(img=grey, name='usual', gt_keypoints=BASE / 2 - .5))
    return hashlib.sha256(results['img'].tobytes()).hexdigest()


def _log(message: str) -> None:
    print_log(message, logger='current')


def add_suite_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tools/test.py`` for the suite."""
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
        help='processes that make the pictures (default: the config\'s)')
    group.add_argument(
        '--occlusion-seed',
        type=int,
        default=0,
        help='another seed, other occluders (default: 0)')


def run_suite(args: argparse.Namespace) -> dict:
    """Run the suite by parsed arguments of a test and of the suite.

    Returns:
        dict: The report.

    Raises:
        ValueError: For arguments that do not go with it.
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
