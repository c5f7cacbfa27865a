# Copyright (c) orsa contributors. All rights reserved.
"""Samples as a pipeline makes them: what ``browse_dataset.py`` does."""
import copy
import os.path as osp
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from mmengine.config import Config

from orsa.utils.configs import split_pipeline
from orsa.utils.face_regions import FACE_PALETTE
from orsa.visualization import draw_class_grid, spread
from orsa.visualization.annotations import draw_annotations
from .inputs import build_dataset

# mmpose's name after its warp, before it, and mmpretrain's
_POINTS = ('transformed_keypoints', 'keypoints', 'gt_keypoints')
_VISIBLE = ('keypoints_visible', 'gt_keypoints_visible')


def browse(cfg: Config,
           out: str,
           count: int = 40,
           split: str = 'train',
           columns: int = 10,
           size: int = 128,
           plain: bool = False,
           original: bool = False) -> Dict[str, List[np.ndarray]]:
    """Draw samples as their pipeline makes them, with their annotations.

    Of any config of mmpretrain, mmseg or mmpose: occluders are outlined;
    landmarks are blue, orange where occluded; masks are laid over the image.

    Args:
        cfg (Config): The experiment.
        out (str): The PNG to write: a row for each class, or rows of samples
            where there are none.
        count (int): Samples. Defaults to 40.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        columns (int): Samples in a row at most. Defaults to 10.
        size (int): Side of a sample, in pixels. Defaults to 128.
        plain (bool): Draw the images alone. Defaults to False.
        original (bool): Draw samples as they are loaded, before what changes
            them. Defaults to False.

    Returns:
        dict[str, list[np.ndarray]]: The images in each row.
    """
    loader = cfg.get(f'{split}_dataloader') or {}
    dataset = build_dataset(cfg, split,
                            _unpacked(loader.get('dataset'), original))
    names = _class_names(cfg, dataset)
    if names is None:
        chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset)))
        titles = [f'samples {i // columns + 1}' for i in range(len(chosen))]
    else:
        chosen = spread(np.unique(names, return_inverse=True)[1], count)
        titles = [names[i] for i in chosen]
    palette = dataset.metainfo.get('palette') or FACE_PALETTE
    rows: Dict[str, List[np.ndarray]] = {}
    for title, index in zip(titles, chosen):
        rows.setdefault(title, []).append(
            _draw_sample(dataset[int(index)], palette, size, plain))
    draw_class_grid(
        rows, {title: (names or titles).count(title)
               for title in rows}, out, f'{osp.basename(str(cfg.filename))}, '
        f'{split}: {len(chosen)} of {len(dataset)}',
        min(columns, max(map(len, rows.values()))), size)
    return rows


def _unpacked(dataset: Optional[dict], original: bool) -> Optional[dict]:
    """A dataset's config whose samples are not packed at the end."""
    if dataset is None:
        return None
    dataset = copy.deepcopy(dataset)
    for inner in [dataset.get('dataset'), *(dataset.get('datasets') or [])]:
        if inner is not None:
            inner.update(_unpacked(inner, original))
    if dataset.get('pipeline'):
        load, transforms, _ = split_pipeline(dataset['pipeline'])
        dataset['pipeline'] = load if original else load + transforms
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
