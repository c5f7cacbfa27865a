# Copyright (c) orsa contributors. All rights reserved.
"""The faces of an occlusion suite."""
import copy
import hashlib
import os.path as osp
from functools import cached_property, lru_cache
from typing import Dict, List, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from orsa.datasets import FERDataset, OccludeFace
from orsa.datasets.drawing.landmarks import BASE
from orsa.utils.configs import scope_of, type_name
from orsa.utils.image_files import name_of
from .occlusion_conditions import (LIST_NAMES, Condition, read_list,
                                   with_occluder)


class SuiteFaces(Dataset):
    """The test split of a config under all conditions of a suite.

    An index is (condition, number of the face). Arguments and errors are those
    of :class:`orsa.OcclusionSuite`.

    Attributes:
        clean (Dataset): The faces without an occluder.
        data_cfg (dict): Their config.
        names (list[str]): Of the N faces.
        labels (np.ndarray): (N, ), indices of ``classes``.
        classes (list[str]): The expressions.
        lists (dict[str, str]): Files of really occluded faces by name.
    """

    def __init__(self, cfg: Config, conditions: Sequence[Condition], seed: int,
                 lists):
        self.cfg, self.seed = cfg, seed
        self.data_cfg = _with_ratio(cfg.test_dataloader.dataset)
        occluded = [c for c in conditions if c.severity]
        if occluded:  # a pipeline that cannot be occluded is refused first
            with_occluder(self.data_cfg)
        self.clean = self._build(copy.deepcopy(self.data_cfg))
        infos = [self.clean.get_data_info(i) for i in range(len(self.clean))]
        self.names = [name_of(info) for info in infos]
        self.labels = np.array([int(i['gt_label']) for i in infos], np.int64)
        self.classes = list(self.clean.metainfo['classes'])
        self.lists = self._find_lists(lists)
        if not occluded:
            return
        try:  # what would fail in the middle of the suite fails here
            self[occluded[0], 0]
        except KeyError as error:
            raise ValueError(
                'OcclusionSuite draws an occluder by the name of the face, '
                f'but the samples of {type(self.clean).__name__} have none: '
                f'{error}') from error

    @cached_property
    def occluded(self) -> Dataset:
        """The faces with an occluder."""
        return self._build(with_occluder(self.data_cfg, seed=self.seed))

    def _build(self, dataset: dict) -> Dataset:
        with scope_of(self.cfg):
            return DATASETS.build(dataset)

    def _find_lists(self, lists) -> Dict[str, str]:
        lists = self.cfg.get('occlusion_lists') if lists is None else lists
        if lists is None:
            lists, root = [], getattr(self.clean, 'data_root', '')
            # lists select test samples, folds and training samples they lack
            if root and getattr(self.clean, 'split', 'test') == 'test':
                lists = [osp.join(root, name) for name in LIST_NAMES]
                lists = [path for path in lists if osp.isfile(path)]
        if not hasattr(lists, 'items'):
            titles = [
                osp.splitext(osp.basename(osp.normpath(path)))[0]
                for path in lists
            ]
            if len(set(titles)) < len(titles):
                raise ValueError(f'lists are called {titles}: give each a '
                                 'name of its own')
            lists = dict(zip(titles, lists))
        if lists and not isinstance(self.clean, FERDataset):
            raise ValueError('lists of faces are read by orsa.FERDataset, '
                             f'{type(self.clean).__name__} is none')
        return dict(lists)

    def read_list(self, title: str) -> Tuple[List[str], Dict[str, str]]:
        """A list of really occluded faces, see :func:`read_list`."""
        with scope_of(self.cfg):
            return read_list(self.clean, self.data_cfg, self.lists[title])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Tuple[Condition, int]) -> dict:
        condition, face = index
        if not condition.severity:
            return self.clean[face]
        self._set(condition)
        return self.occluded[face]

    def _set(self, condition: Condition) -> None:
        for transform in self.occluded.pipeline.transforms:
            if isinstance(transform, OccludeFace):
                transform.severity = condition.severity
                transform.kinds = (condition.kind, )

    def sample(self, condition: Condition,
               face: int) -> Tuple[np.ndarray, float]:
        """A face as the data have it, and its occluded fraction."""
        self._set(condition)
        results = self.occluded.get_data_info(face)
        for transform in self.occluded.pipeline.transforms:
            results = transform(results)
            if isinstance(transform, OccludeFace):
                break
        return results['img'], results['occlusion_ratio']

    def grid(self, kinds: Sequence[str], severities: Sequence[int]) -> list:
        """The first faces of some classes for ``draw_occluder_grid``."""
        if not severities:
            return []
        _, first = np.unique(self.labels, return_index=True)
        return [(kind, [
            self.sample(Condition(kind, severity), face)
            for face in sorted(first.tolist())[:2] for severity in severities
        ]) for kind in kinds]

    def describe(self, num_faces: int) -> dict:
        """What a report says of the data, of which ``num_faces`` count."""
        return dict(
            type=type(self.clean).__name__,
            data_root=getattr(self.clean, 'data_root', None),
            split=getattr(self.clean, 'split', None),
            num_faces=num_faces,
            num_skipped=len(getattr(self.clean, 'skipped', [])))


def _with_ratio(dataset: dict) -> dict:
    """A dataset's config whose samples keep their ``occlusion_ratio``."""
    cfg = copy.deepcopy(dataset)
    pipeline = cfg.get('pipeline') or []
    kinds = [type_name(t) for t in pipeline]
    if not kinds or kinds[-1] != 'PackInputs':
        raise ValueError(
            'OcclusionSuite needs a test pipeline that loads the image first '
            'and ends by PackInputs, but test_dataloader.dataset '
            f'({cfg.get("type")}) has {kinds}')
    keys = pipeline[-1].get('meta_keys', ('sample_idx', 'img_path'))
    pipeline[-1]['meta_keys'] = tuple(
        dict.fromkeys((*keys, 'occlusion_ratio')))
    return cfg


@lru_cache(maxsize=None)
def example_hash(condition: Condition, seed: int) -> str:
    """A hash of an occluder on the mean face: its drawing may change."""
    if not condition.severity:
        return ''
    grey = np.full((64, 64, 3), 128, np.uint8)
    results = OccludeFace(condition.severity, condition.kind, seed)(
        dict(img=grey, name='usual', gt_keypoints=BASE / 2 - .5))
    return hashlib.sha256(results['img'].tobytes()).hexdigest()
