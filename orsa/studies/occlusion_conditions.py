# Copyright (c) orsa contributors. All rights reserved.
"""The faces that a test under occlusion asks about."""
import copy
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from orsa.datasets import FERDataset, OccludeFace
from orsa.datasets.subset_list import read_subset
from orsa.utils.configs import type_name
from .occlusion_metrics import CLEAN


class Cell(NamedTuple):
    """A kind of occluder at a severity; the faces as they are by default."""
    kind: str = CLEAN
    severity: int = 0

    def __str__(self) -> str:
        return f'{self.kind} {self.severity}' if self.severity else self.kind


class CellFaces(Dataset):
    """The faces of several cells; an index is (number of the cell, face)."""

    def __init__(self, clean: Dataset, hidden: Optional[Dataset],
                 cells: Sequence[Cell]):
        self.clean, self.hidden, self.cells = clean, hidden, cells

    def __getitem__(self, index):
        number, face = index
        cell = self.cells[number]
        if not cell.severity:
            return self.clean[face]
        set_cell(self.hidden, cell)
        return self.hidden[face]


def set_cell(dataset: Dataset, cell: Cell) -> None:
    """Choose what the ``OccludeFace`` in a data set's pipeline lays over."""
    for transform in dataset.pipeline.transforms:
        if isinstance(transform, OccludeFace):
            transform.severity = cell.severity
            transform.kinds = (cell.kind, )


def with_names(dataset: dict) -> dict:
    """A data set's config whose samples say what is asked of them."""
    cfg = copy.deepcopy(dataset)
    pipeline = cfg.get('pipeline') or []
    kinds = [type_name(t) for t in pipeline]
    if not kinds or kinds[-1] != 'PackInputs':
        raise ValueError(
            'OcclusionSuite needs a test pipeline that loads the picture '
            'first and packs it last, by PackInputs, but test_dataloader.'
            f'dataset ({cfg.get("type")}) has {kinds}')
    if 'LoadCachedPriors' in kinds:
        raise ValueError('OcclusionSuite: priors from the disk are those of '
                         'the faces as they are, take LoadCachedPriors out')
    keys = pipeline[-1].get('meta_keys', ('sample_idx', 'img_path'))
    pipeline[-1]['meta_keys'] = tuple(
        dict.fromkeys((*keys, 'occlusion_ratio')))
    return cfg


def with_occluder(dataset: dict, seed: int = 0, severity: int = 1) -> dict:
    """The same with ``OccludeFace`` after the picture is loaded."""
    cfg = copy.deepcopy(dataset)
    first = type_name(cfg.pipeline[0])
    if not (first.startswith('Load') or first.startswith('Draw')):
        raise ValueError('Occluders are laid over the picture right after it '
                         'is loaded, but the test pipeline begins with '
                         f'{first}, expected LoadImageFromFile')
    cfg.pipeline.insert(
        1, dict(type='orsa.OccludeFace', severity=severity, seed=seed))
    root = osp.expanduser(cfg.get('data_root') or '')
    if type_name(cfg) == 'RAFDB' and osp.isfile(
            osp.join(root, 'landmarks68.json')):
        cfg.with_annotations = True  # where to lay it
    return cfg


def name_of(info: dict) -> str:
    path = info.get('img_path')
    if info.get('name') is None and path:
        return osp.splitext(osp.basename(path))[0]
    return str(info.get('name', info.get('sample_idx')))


def read_list(everything: FERDataset, dataset: dict,
              path: str) -> Tuple[List[str], Dict[str, str]]:
    """Read a list of really occluded faces.

    Args:
        everything (FERDataset): The faces that it selects from.
        dataset (dict): Their config.
        path (str): The list, as its ``subset_file`` takes it.

    Returns:
        tuple[list[str], dict[str, str]]: The names in it, and of those whose
        lines have three columns, as RAN's have, the type of occlusion.
    """
    cfg = copy.deepcopy(dataset)
    cfg.pop('indices', None)
    cfg['subset_file'] = path
    listed = DATASETS.build(cfg)
    index = {
        everything.get_data_info(i)['name']: i
        for i in range(len(everything))
    }
    names = [listed.get_data_info(i)['name'] for i in range(len(listed))]
    path = osp.expanduser(path)
    if not osp.exists(path):
        path = osp.join(listed.data_root, path)
    known, types = list(index), {}
    for _, line in read_subset(path):
        place, columns = listed.look_up(line, index), line.split()
        # name, class and type; a line of a name alone has no type
        if place is not None and len(columns) > 2:
            types[known[place]] = columns[-1]
    return names, types
