# Copyright (c) orsa contributors. All rights reserved.
"""Accuracy on subgroups of faces: what ``subgroups.py`` does."""
import argparse
import copy
import csv
import os.path as osp
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.datasets.press_faces import identity_of
from orsa.evaluation.predictions import CLEAN, Predictions, read_predictions
from orsa.evaluation.statistics import accuracy_interval
from orsa.studies.occlusion_conditions import (LIST_NAMES, landmarks_of,
                                               read_list)
from orsa.utils.configs import scope_of
from orsa.utils.fileio import dump_json, write_text
from orsa.utils.tables import Table
from .inputs import analysis_parser, read_config

# Mean difference between the largest and the smallest channel of a pixel, of
# 255, below which an image is grey.
GREY = 1.
# Of turn_of: the bounds between facing, half turned and turned.
TURNS = (.15, .35)
_TURNED = (f'small, below {TURNS[0]}', f'medium, {TURNS[0]} to {TURNS[1]}',
           f'large, above {TURNS[1]}')
_LIGHT = ('darkest third', 'middle third', 'lightest third')
_PERSONS = ('1', '2 to 4', '5 or more')
_NOTHING = 'nothing listed'
# Groups with an order of their own; others come by size.
_ORDER = ('grey', 'colour', *_TURNED, *_LIGHT, *_PERSONS, _NOTHING)
SOURCES = 'sources.csv'


class Group(NamedTuple):
    """The accuracy on some of the faces.

    Attributes:
        attribute (str): By what the faces are divided.
        name (str): Which of them these are.
        faces (int): How many.
        right (int): How many of them are recognised.
        interval (tuple[float, float]): Wilson's 95% interval, in percent.
        by_labels (float): The accuracy, in percent, if each expression were
            recognised here as often as over all faces: a group may be easier
            by its expressions alone.
    """
    attribute: str
    name: str
    faces: int
    right: int
    interval: tuple
    by_labels: float

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.right / self.faces


def is_grey(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) uint8 has no colour."""
    spread = image.max(2).astype(np.int16) - image.min(2)
    return float(spread.mean()) < GREY


def turn_of(points: np.ndarray) -> float:
    """How far a face is turned to a side, from 68 landmarks (68, 2).

    The difference of the tip of the nose's horizontal distances to both ends
    of the jaw line over their sum: 0 from the front, 1 in profile; no angle.
    """
    right, left = points[30, 0] - points[0, 0], points[16, 0] - points[30, 0]
    return float(abs(right - left) / max(abs(right + left), 1e-6))


def light_of(image: np.ndarray, points: Optional[np.ndarray]) -> float:
    """The mean grey value of a face in [0, 255].

    Args:
        image (np.ndarray): (H, W, 3) BGR uint8.
        points (np.ndarray, optional): (68, 2) pixels, what they enclose is
            the face. None takes the complete image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if points is None:
        return float(grey.mean())
    face = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(points).astype(int)), 1)
    return float(grey[face == 1].mean()) if face.any() else float(grey.mean())


def attributes(dataset, cfg: dict, types: Sequence[str] = ()) -> dict:
    """What is known of the faces of a dataset, beside their expression.

    Measured on each image: grey or colour, brightness (by thirds of the
    faces) and, with 68 landmarks, rotation. Read from the data's folder: the
    type of real occlusion (a list in RAN's format), the source and the number
    of images of the person (``sources.csv``).

    Args:
        dataset (FERDataset): The faces.
        cfg (dict): Its config.
        types (Sequence[str]): Names of the list's types, from 1. Defaults to
            (), their numbers.

    Returns:
        dict[str, dict[str, str]]: By attribute the group of each face.
    """
    grey, turned, light = {}, {}, {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        name = info['name']
        if 'img_path' not in info:
            raise ValueError(f"'{name}' of {type(dataset).__name__} has no "
                             'file: subgroups are of images on the disk')
        image, reason = dataset.read_image(info)
        if image is None:
            raise ValueError(f"'{info['img_path']}' cannot be read: {reason}")
        points = info.get('gt_keypoints')
        points = None if points is None else np.asarray(points)[0]
        grey[name] = 'grey' if is_grey(image) else 'colour'
        light[name] = light_of(image, points)
        if points is not None:
            turned[name] = _TURNED[np.searchsorted(
                TURNS, turn_of(points), side='right')]
    bounds = np.quantile(list(light.values()), (1 / 3, 2 / 3))
    thirds = np.searchsorted(bounds, list(light.values()), side='right')
    found = {
        'colour': grey,
        'yaw (by landmarks)': turned,
        'brightness of the face': dict(zip(light,
                                           np.array(_LIGHT)[thirds])),
        'occluder': _listed(dataset, cfg, list(grey), types),
        **_sources(dataset, list(grey))
    }
    return {k: v for k, v in found.items() if v}


def _listed(dataset, cfg: dict, names: Sequence[str],
            types: Sequence[str]) -> Dict[str, str]:
    """By what is really in front of them."""
    root = osp.expanduser(dataset.data_root or '')
    path = next((n for n in LIST_NAMES if osp.isfile(osp.join(root, n))), None)
    if path is None:
        return {}
    listed, kinds = read_list(dataset, cfg, path)
    known = {str(k): name for k, name in enumerate(types, 1)}
    groups = dict.fromkeys(names, _NOTHING)
    for name in listed:
        kind = kinds.get(name, '')
        groups[name] = known.get(kind, f'type {kind}' if kind else 'listed')
    return groups


def _sources(dataset, names: Sequence[str]) -> Dict[str, Dict[str, str]]:
    """By where the images are from, and how many there are of a person."""
    path = osp.join(osp.expanduser(dataset.data_root or ''), SOURCES)
    if not osp.isfile(path):
        return {}
    # with or without the mark of Windows' editors
    with open(path, encoding='utf-8-sig', newline='') as file:
        rows = {r['name']: r for r in csv.DictReader(file)}
    missing = [name for name in names if name not in rows]
    if missing:
        raise ValueError(f"'{path}' has no line of {missing[0]} and "
                         f'{len(missing) - 1} other faces')
    counts = Counter(rows[name]['identity'] for name in names)
    source, count = {}, {}
    for name in names:
        image, person = (
            rows[name].get(k) for k in ('source_image', 'identity'))
        if image is not None:
            source[name] = ('other' if identity_of(image) == image else
                            'press photograph')
        count[name] = _PERSONS[np.searchsorted((2, 5),
                                               counts[person],
                                               side='right')]
    return {'source': source, 'images of the person': count}


def divide(predictions: Predictions,
           groups: Dict[str, Dict[str, str]]) -> List[Group]:
    """The accuracy on all faces, by expression, and by each attribute.

    Args:
        predictions (Predictions): Of which clean faces are used.
        groups (dict[str, dict[str, str]]): As :func:`attributes` gives them.
    """
    names, labels = predictions.names, predictions.label_indices()
    right = predictions.scores[CLEAN].argmax(1) == labels
    recall = {label: right[labels == label].mean() for label in set(labels)}
    expected = np.array([recall[label] for label in labels])
    found = []
    for attribute, group_of in {
            'all': dict.fromkeys(names, 'all'),
            'expression (label)': dict(zip(names, predictions.labels)),
            **groups
    }.items():
        missing = [name for name in names if name not in group_of]
        if missing:
            raise ValueError(
                f"'{predictions.path}' has {len(missing)} faces that are not "
                f"in the config's test split, the first is '{missing[0]}': "
                'give the config and data that were tested')
        values = np.array([group_of[name] for name in names])
        by_size = [str(n) for n, _ in Counter(sorted(values)).most_common()]
        # those with an order of their own come first
        for name in sorted(by_size, key=lambda n: (*_ORDER, n).index(n)):
            here = values == name
            total, hits = int(here.sum()), int(right[here].sum())
            found.append(
                Group(attribute, name, total, hits,
                      accuracy_interval(hits, total),
                      100 * float(expected[here].mean())))
    return found


def subgroups(cfg: Config, results: str,
              types: Sequence[str] = ()) -> List[Group]:
    """Divide the predictions of a test by what is known of the faces.

    Args:
        cfg (Config): The experiment that was tested.
        results (str): See :func:`read_predictions`.
        types (Sequence[str]): See :func:`attributes`.
    """
    predictions = read_predictions(results)
    dataset_cfg = copy.deepcopy(cfg.test_dataloader.dataset)
    if landmarks_of(dataset_cfg):
        dataset_cfg.with_annotations = True
    with scope_of(cfg):
        dataset = DATASETS.build(dataset_cfg)
    return divide(predictions, attributes(dataset, dataset_cfg, types))


def table(groups: Sequence[Group]) -> str:
    """The groups as a table in Markdown."""
    return Table(
        ('by', 'group', 'faces', 'accuracy', '95% interval', 'by its labels'),
        [(g.attribute, g.name, g.faces, g.accuracy,
          '{:.1f} to {:.1f}'.format(*g.interval), g.by_labels)
         for g in groups]).markdown() + '\n'


def add_subgroup_arguments(description: str) -> argparse.ArgumentParser:
    """The parser of ``subgroups.py``."""
    parser = analysis_parser(description)
    parser.add_argument(
        'results',
        help='predictions of the test, as compare_results.py takes them')
    parser.add_argument(
        '--types',
        nargs='+',
        default=(),
        metavar='NAME',
        help="names of the occlusion list's types, from 1")
    parser.add_argument('--out', help='.md or .json to write')
    return parser


def run_subgroups(args: argparse.Namespace) -> List[Group]:
    """Print the table, write it to ``--out``, and return the rows."""
    if args.out and not args.out.endswith(('.md', '.json')):
        raise ValueError(f"--out should end in .md or .json, got '{args.out}'")
    groups = subgroups(read_config(args), args.results, args.types)
    print(table(groups), end='')
    if args.out and args.out.endswith('.json'):
        dump_json([dict(g._asdict(), accuracy=g.accuracy) for g in groups],
                  args.out)
    elif args.out:
        write_text(args.out, table(groups))
    return groups
