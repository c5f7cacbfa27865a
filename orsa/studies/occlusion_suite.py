# Copyright (c) orsa contributors. All rights reserved.
"""Test a model on faces with occluders, by ``docs/occlusion_benchmark.md``."""
import copy
import hashlib
import json
import os
import os.path as osp
import time
from itertools import islice
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import DataLoader

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import config_classes, init_model, load_config
from orsa.apis.training import set_work_dir
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.datasets.drawing.occluders import COMMON_FRACTIONS, KINDS
from orsa.evaluation import FERMetric
from orsa.utils.checkpoint import local_file
from orsa.utils.classes import class_names, common_classes
from orsa.utils.configs import config_hash
from orsa.utils.fileio import dump_json, file_hash, save_npz
from orsa.version import __version__
from .occlusion_conditions import Condition, conditions_of, landmarks_of
from .occlusion_faces import SuiteFaces, example_hash
from .occlusion_metrics import (FORMAT, face_arrays, list_metrics, protocol,
                                summarise)
from .occlusion_report import write_report
from .study import Study, log

FACES, RUN = 'occlusion_suite_faces.npz', 'occlusion_suite_run.json'
SEVERITIES = tuple(range(1, len(COMMON_FRACTIONS) + 1))


class OcclusionSuite(Study):
    """Test a checkpoint on faces with occluders.

    The test split of the config is tested as it is, with every kind of
    :class:`orsa.datasets.OccludeFace` at every severity, and on its lists of
    really occluded faces. Predictions are stored as a condition (a kind at a
    severity) ends, under all that they depend on: a suite that was stopped
    continues, and what is out of date is computed again. Images and report are
    the same for any number of workers and any order of the conditions.

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
            them, e.g. RAN's; a dict names them. Defaults to None: the
            config's ``occlusion_lists``, else 'occlusion_test.txt' or
            'rafdb_occlusion_list.txt' in the data's folder.
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
        self.kinds = some_of(kinds, KINDS, 'kinds')
        self.severities = some_of(severities, SEVERITIES, 'severities')
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
        self.faces = SuiteFaces(self.cfg, self.conditions(), self.seed, lists)
        self._model = self._common = None

    def conditions(self) -> List[Condition]:
        """The faces as they are, then every kind at every severity."""
        return conditions_of(self.kinds, self.severities)

    def result_file(self, condition: Condition) -> str:
        """Where the predictions of a condition are stored."""
        return self.file('occlusion_cells',
                         str(condition).replace(' ', '_') + '.npz')

    def key(self, condition: Condition) -> Dict[str, str]:
        """All that a condition depends on, hashed, by what it is."""
        if self._common is None:
            path = local_file(self.checkpoint)
            faces = self.faces
            landmarks = landmarks_of(faces.data_cfg)
            self._landmarks = [file_hash(landmarks)] if landmarks else []
            self._common = dict(
                format=str(FORMAT),
                checkpoint=file_hash(path) if path else self.checkpoint,
                model=_hash(self.cfg.model),
                data=_hash(faces.data_cfg),
                faces=_hash(
                    [faces.names,
                     faces.labels.tolist(), faces.classes]))
        seed = self.seed if condition.severity else None
        placed = self._landmarks if condition.severity else []
        return dict(
            self._common,
            occluder=_hash([
                *condition, seed,
                example_hash(condition, self.seed), *placed
            ]))

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
        """Compute and store the predictions of conditions, in their order."""
        if not conditions:
            return
        model = self._load_model()
        index = {name: i for i, name in enumerate(self.model_classes)}
        labels = np.array([index.get(name, -1)
                           for name in self.faces.classes])[self.faces.labels]
        starts = range(0, len(self.faces), self.batch_size)
        batches = [[
            (condition, i)
            for i in range(len(self.faces))[start:start + self.batch_size]
        ] for condition in conditions for start in starts]
        if self.workers:
            cv2.setNumThreads(0)  # its threads do not survive a fork
        # one for all conditions: workers go on while the model is busy
        loader = DataLoader(
            self.faces,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=default_collate)
        predicted = predict_dataset(model, loader)
        for number, condition in enumerate(conditions):
            begin = time.time()
            scores, ratio, digest = [], [], hashlib.sha256()
            for batch, samples in islice(predicted, len(starts)):
                for image in batch['inputs']:
                    digest.update(np.ascontiguousarray(image.numpy()))
                ratio += [
                    s.get('occlusion_ratio', 0.) for s in batch['data_samples']
                ]
                scores += [s.pred_score.float().cpu().numpy() for s in samples]
            found = dict(
                scores=np.stack(scores).astype(np.float32),
                ratio=np.array(ratio, np.float64),
                pictures=digest.hexdigest())
            self._store(condition, found)
            scores = found['scores'][:, :len(self.model_classes)]
            accuracy = 100 * (scores.argmax(1) == labels).mean()
            log(f'{number + 1}/{len(conditions)} {condition}: accuracy '
                f"{accuracy:.2f}, occluded {found['ratio'].mean():.3f}, "
                f'{time.time() - begin:.1f} s')

    def _store(self, condition: Condition, found: dict) -> None:
        save_npz(
            self.result_file(condition),
            fingerprint=json.dumps(self.key(condition)),
            names=self.faces.names,
            labels=self.faces.labels,
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
            common_classes(self.model_classes, self.faces.classes)
            cfg = copy.deepcopy(self.cfg)
            cfg.test_evaluator = []  # which may have classes too
            cfg.test_dataloader.dataset.classes = self.model_classes
            self._model = init_model(cfg, self.checkpoint, self.device)
        return self._model

    def run(self) -> dict:
        """Compute what is not stored yet; write and return the report."""
        begin = time.time()
        os.makedirs(self.work_dir, exist_ok=True)
        conditions = self.conditions()
        todo = self.missing(conditions)
        log(f'{len(conditions) - len(todo)} of {len(conditions)} conditions '
            f'of {len(self.faces.names)} faces are stored')
        self.compute(todo)
        report, faces = self.collect()
        save_npz(self.file(FACES), **faces)
        files = write_report(report, self.work_dir,
                             self.faces.grid(self.kinds, self.severities))
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
            tuple[dict, dict]: The report; and the predictions for single
            faces, see :func:`face_arrays`.
        """
        found, labels, names, classes, mapping = self._matched()
        clean = found[Condition()]['scores']
        report = dict(
            format=FORMAT,
            config=str(self.config),
            checkpoint=self.checkpoint,
            checkpoint_sha256=self.key(Condition())['checkpoint'],
            dataset=self.faces.describe(len(names)),
            classes=classes,
            **mapping,
            **protocol(self.seed, self.kinds, self.severities),
            faces_file=FACES,
            **summarise(found, self.kinds, self.severities, labels, classes),
            lists={})
        lists = {}
        for title, path in self.faces.lists.items():
            listed, types = self.faces.read_list(title)
            lists[title] = listed
            report['lists'][title] = dict(
                file=osp.basename(osp.normpath(path)),
                **list_metrics(names, types, listed, clean, labels, classes))
        return report, face_arrays(found, names, labels, classes, lists)

    def _matched(self) -> tuple:
        """The stored predictions, matched to the data's classes."""
        found, labels, names = {}, self.faces.labels, self.faces.names
        classes, mapping = self.faces.classes, {}
        for condition in self.conditions():
            stored = self.stored(condition)
            if stored is None:
                raise RuntimeError(f'{condition} has not been computed')
            if stored['classes'] != self.faces.classes:
                scores, labels, chosen, mapping = FERMetric.match_classes(
                    stored['scores'], self.faces.labels.tolist(),
                    stored['classes'], self.faces.classes)
                labels = np.array(labels)
                names = [self.faces.names[i] for i in chosen]
                stored.update(
                    scores=np.stack(scores), ratio=stored['ratio'][chosen])
                classes = common_classes(stored['classes'], self.faces.classes)
            found[condition] = stored
        # a head may have more outputs than there are classes
        outputs = found[Condition()]['scores'].shape[1]
        classes = [*classes, *map(str, range(len(classes), outputs))]
        return found, labels, names, classes, mapping


def some_of(values: Optional[Sequence], known: Sequence, what: str) -> tuple:
    """Some of the known values, each once, in their order."""
    values = known if values is None else values
    unknown = [v for v in values if v not in known]
    if unknown:
        raise ValueError(f'OcclusionSuite: unknown {what} {unknown}, expected '
                         f'some of {list(known)}')
    return tuple(v for v in known if v in values)


def _hash(obj) -> str:
    return config_hash(obj)[:16]
