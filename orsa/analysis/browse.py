# Copyright (c) orsa contributors. All rights reserved.
"""Samples as a pipeline makes them: what ``browse_dataset.py`` does."""
import copy
import os.path as osp
from collections import Counter
from functools import partial
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.config import Config

from orsa.datasets.seeding import set_dataset_epoch
from orsa.utils.configs import split_pipeline, type_name
from orsa.utils.face_regions import FACE_PALETTE
from orsa.visualization import draw_class_grid, draw_step_grid, spread
from orsa.visualization.annotations import draw_annotations
from .inputs import build_dataset

# mmpose's name after its warp, before it, and mmpretrain's
_POINTS = ('transformed_keypoints', 'keypoints', 'gt_keypoints')
_VISIBLE = ('keypoints_visible', 'gt_keypoints_visible')

# Which of a sample's images are drawn, of those of `_recorded`
MODES = dict(
    transformed=lambda steps: steps[-1:],
    original=lambda steps: steps[:1],
    concat=lambda steps: [steps[0], ('transformed', steps[-1][1])],
    pipeline=lambda steps: steps)


def browse(cfg: Config,
           out: str,
           count: int = 40,
           split: str = 'train',
           columns: int = 10,
           size: int = 128,
           plain: bool = False,
           mode: str = 'transformed') -> Dict[str, List[np.ndarray]]:
    """Draw samples as their pipeline makes them, with their annotations.

    Of any config of mmpretrain, mmseg or mmpose: occluders are outlined;
    landmarks are blue, orange where occluded; masks are laid over the image.

    Args:
        cfg (Config): The experiment.
        out (str): The PNG to write: a row for each class, or rows of samples
            where there are none.
        count (int): Samples. Defaults to 40.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        columns (int): Images in a row at most, but for those of one sample.
            Defaults to 10.
        size (int): Side of an image, in pixels. Defaults to 128.
        plain (bool): Draw the images alone. Defaults to False.
        mode (str): 'transformed', after the pipeline; 'original', as they are
            loaded, before what changes them; 'concat', both beside each
            other; 'pipeline', after each of its transforms. Defaults to
            'transformed'.

    Returns:
        dict[str, list[np.ndarray]]: The images in each row; those of each
        sample where it has several.
    """
    steps: List[tuple] = []

    def record(name: str, sample: dict) -> dict:
        steps.append((name, copy.deepcopy(sample)))
        return sample

    loader = cfg.get(f'{split}_dataloader') or {}
    dataset = build_dataset(cfg, split,
                            _recorded(loader.get('dataset'), record))
    set_dataset_epoch(dataset, 0)  # the same drawing each time
    names = _class_names(cfg, dataset)
    several = mode in ('concat', 'pipeline')
    chosen = _choose(names, len(dataset), count, columns, several)
    palette = dataset.metainfo.get('palette') or FACE_PALETTE
    rows: Dict[str, List[np.ndarray]] = {}
    captions: Dict[str, List[str]] = {}
    for row, index in chosen:
        steps.clear()
        dataset[index]
        for name, sample in MODES[mode](steps):
            rows.setdefault(row, []).append(
                _draw_sample(sample, palette, size, plain))
            height, width = sample['img'].shape[:2]
            captions.setdefault(row, []).append(f'{name}\n{width} x {height}')
    title = (f'{osp.basename(str(cfg.filename))}, {split}: {len(chosen)} of '
             f'{len(dataset)}')
    if several:
        draw_step_grid(rows, captions, out, title, columns, size)
    else:
        counts = Counter(names or [row for row, _ in chosen])
        draw_class_grid(rows, counts, out, title,
                        min(columns, max(map(len, rows.values()))), size)
    return rows


def _choose(names: Optional[List[str]], total: int, count: int, columns: int,
            several: bool) -> List[Tuple[str, int]]:
    """Samples to draw: the title of their row, and their index.

    Those that are drawn as ``several`` images have a row of their own.
    """
    if names is None:
        indices = np.linspace(0, total - 1, min(count, total)).astype(int)
    else:
        indices = spread(np.unique(names, return_inverse=True)[1], count)
    chosen = []
    for i, index in enumerate(indices):
        name = names[index] if names else ''
        title = f'{name} sample {index}'.strip() if several \
            else name or f'samples {i // columns + 1}'
        chosen.append((title, int(index)))
    return chosen


def _recorded(dataset: Optional[dict],
              record: Callable[[str, dict], dict]) -> Optional[dict]:
    """A dataset's config whose samples are recorded, and not packed.

    Args:
        dataset (dict, optional): The config.
        record (Callable): Gets 'original' and a sample as it is loaded, then
            the name of each transform and what it made, and returns it.
    """
    if dataset is None:
        return None
    dataset = copy.deepcopy(dataset)
    for inner in [dataset.get('dataset'), *(dataset.get('datasets') or [])]:
        if inner is not None:
            inner.update(_recorded(inner, record))
    if dataset.get('pipeline'):
        load, transforms, _ = split_pipeline(dataset['pipeline'])
        pipeline = [*load, partial(record, 'original')]
        for one in transforms:
            pipeline += [one, partial(record, type_name(one))]
        dataset['pipeline'] = pipeline
    return dataset


def _class_names(cfg: Config, dataset) -> Optional[List[str]]:
    """Of every sample the name of its class, None where there are none."""
    # a sample of mmseg or mmpose may have a label, of which its classes,
    # those of pixels or points, are no names
    if cfg.get('default_scope', 'mmpretrain') != 'mmpretrain':
        return None
    labels = [
        dataset.get_data_info(i).get('gt_label') for i in range(len(dataset))
    ]
    if None in labels:
        return None
    classes = dataset.metainfo.get('classes')
    return [classes[int(i)] if classes else str(int(i)) for i in labels]


def _draw_sample(sample: dict, palette: Sequence, size: int,
                 plain: bool) -> np.ndarray:
    if plain:
        return draw_annotations(sample['img'], size=size)
    points = next((sample[k] for k in _POINTS if k in sample), None)
    visible = next((sample[k] for k in _VISIBLE if k in sample), None)
    if points is not None:
        points = np.asarray(points).reshape(-1, np.shape(points)[-1])[:, :2]
    if visible is not None:
        # mmpose also has visibility and a weight of each
        visible = np.asarray(visible).reshape(len(points), -1)[:, 0]
    return draw_annotations(
        sample['img'],
        points,
        visible,
        sample.get('gt_seg_map'),
        _visible_mask(sample),
        palette,
        size=size)


def _visible_mask(sample: dict) -> Optional[np.ndarray]:
    """The visible mask of a sample at the size of its image, if it is known.

    mmcv's transforms do not carry it along: a resizing is done here.
    """
    mask, shape = sample.get('visible_mask'), sample['img'].shape[:2]
    if mask is None or mask.shape == shape:
        return mask
    scale = sample.get('scale_factor', (0, 0))
    if tuple(np.round(np.multiply(mask.shape, scale[::-1]))) != shape:
        return None
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST)
