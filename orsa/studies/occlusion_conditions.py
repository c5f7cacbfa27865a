# Copyright (c) orsa contributors. All rights reserved.
"""Conditions of a test under occlusion, and lists of really occluded faces."""
import copy
import os.path as osp
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.registry import DATASETS

from orsa.datasets import FERDataset
from orsa.datasets.subset_list import read_subset
from orsa.evaluation.predictions import CLEAN
from orsa.utils.configs import split_pipeline, type_name

# names of a list of really occluded faces in a dataset's folder
LIST_NAMES = ('occlusion_test.txt', 'rafdb_occlusion_list.txt')


class Condition(NamedTuple):
    """A kind of occluder at a severity from 1 to 5, or ('clean', 0)."""
    kind: str = CLEAN
    severity: int = 0

    def __str__(self) -> str:
        return f'{self.kind} {self.severity}' if self.severity else self.kind


def conditions_of(kinds: Sequence[str],
                  severities: Sequence[int]) -> List[Condition]:
    """The faces as they are, then every kind at every severity."""
    return [Condition(), *(Condition(k, s) for k in kinds for s in severities)]


def with_occluder(dataset: dict, severity: int = 1, **occluder) -> dict:
    """A copy of a dataset's config, with ``OccludeFace`` after the loading.

    Args:
        dataset (dict): Its pipeline begins by loading or drawing the image.
        severity (int): 1 to 5. Defaults to 1.
        **occluder: Other arguments of :class:`orsa.OccludeFace`.

    Raises:
        ValueError: If its pipeline begins otherwise, or loads cached priors,
            which are of the faces without an occluder.
    """
    cfg = copy.deepcopy(dataset)
    load, transforms, pack = split_pipeline(cfg.pipeline)
    if not load:
        raise ValueError('An occluder is put on the image right after it is '
                         'loaded, but the test pipeline begins with '
                         f'{type_name(cfg.pipeline[0])}, expected '
                         'LoadImageFromFile')
    if 'LoadCachedPriors' in map(type_name, transforms):
        raise ValueError('cached priors are of the faces without an occluder, '
                         'remove LoadCachedPriors')
    occlude = dict(type='orsa.OccludeFace', severity=severity, **occluder)
    cfg.pipeline = [*load, occlude, *transforms, *pack]
    if landmarks_of(cfg):
        cfg.with_annotations = True  # they place it
    return cfg


def landmarks_of(dataset: dict) -> Optional[str]:
    """The file of landmarks beside a dataset's faces, if there is one."""
    root = osp.expanduser(dataset.get('data_root') or '')
    path = osp.join(root, 'landmarks68.json')
    there = type_name(dataset) == 'RAFDB' and osp.isfile(path)
    return path if there else None


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
