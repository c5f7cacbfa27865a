# Copyright (c) orsa contributors. All rights reserved.
"""Faces to calibrate an exported file on and to compare it with."""
import copy
from typing import List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.faces.images import list_images, read_image
from orsa.utils.configs import scope_of, type_name
from .crops import build_pipeline
from .export_info import TRANSFORMS, is_allowed


class Faces(NamedTuple):
    """Images (N, H, W, 3) of the model's size, and what they are."""
    images: np.ndarray
    source: str


def crop_pipeline(cfg: Config) -> Tuple[dict, ...]:
    """How a test brings a crop to the model's size, for an exported file.

    Raises:
        ValueError: If there is no test pipeline, or a transform in it that an
            exported file cannot name.
    """
    loader = cfg.get('test_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if not pipeline:
        raise ValueError(f"'{cfg.filename}' has no test pipeline, expected "
                         'test_dataloader.dataset.pipeline: it resizes crops '
                         'to the input of the model')
    found = []
    for one in pipeline[1:]:  # after the one that loads the image
        if type_name(one) in ('PackInputs', 'LoadCachedPriors'):
            continue
        one = Config(dict(one)).to_dict()
        one['type'] = one['type'].removeprefix('mmpretrain.').removeprefix(
            'mmcv.')
        if not is_allowed(one):
            raise ValueError(
                f"the test pipeline has '{one['type']}', which an exported "
                f'file cannot do: {", ".join(TRANSFORMS)} are known')
        found.append(one)
    return tuple(found)


def crop_size(pipeline: Sequence[dict]) -> Tuple[int, int]:
    """Height and width that a pipeline brings crops to.

    Raises:
        ValueError: If these depend on the crop, or its pixels on chance.
    """
    compose = build_pipeline(pipeline)
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    found = [compose(noise.copy()) for _ in range(4)]
    if any(not np.array_equal(one, found[0]) for one in found):
        raise ValueError('the test pipeline gives another image each time, '
                         'it cannot be exported')
    other = compose(noise[:100, :120].copy())
    if other.shape != found[0].shape:
        raise ValueError('the test pipeline gives crops of several sizes, '
                         'an exported model takes one')
    return tuple(found[0].shape[:2])


def training_faces(cfg: Config, pipeline: Sequence[dict],
                   count: int) -> np.ndarray:
    """Faces of a config's training split, as a test would show them.

    Args:
        cfg (Config): The experiment.
        pipeline (Sequence[dict]): Of :func:`crop_pipeline`.
        count (int): How many, spread evenly over the split.

    Returns:
        np.ndarray: (N, H, W, 3), BGR uint8, N at most ``count``.

    Raises:
        FileNotFoundError: If they are not there.
        ValueError: If the config has no plain training data.
    """
    dataset = copy.deepcopy((cfg.get('train_dataloader') or {}).get('dataset'))
    while dataset and 'pipeline' not in dataset and ('dataset' in dataset
                                                     or 'datasets' in dataset):
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    if not dataset or not dataset.get('pipeline'):
        raise ValueError(f"'{cfg.filename}' has no training data with a "
                         'pipeline: name images by --calibration-images')
    dataset['pipeline'] = [
        dataset['pipeline'][0], *pipeline,
        dict(type='PackInputs')
    ]
    if 'with_annotations' in dataset:  # which only augmentation needs
        dataset['with_annotations'] = False
    with scope_of(cfg):
        faces = DATASETS.build(dataset)
    return np.stack([
        faces[i]['inputs'].permute(1, 2, 0).numpy()
        for i in spread(len(faces), count)
    ])


def spread(total: int, count: int) -> List[int]:
    """Indices spread evenly: many lists are sorted by class."""
    count = min(total, count)
    return np.linspace(0, total - 1, count).round().astype(int).tolist()


def _folder_faces(folder: str, pipeline: Sequence[dict],
                  count: int) -> np.ndarray:
    """Aligned faces in a folder; as :func:`training_faces`."""
    sources = list(list_images(folder))
    compose = build_pipeline(pipeline)
    rows = []
    for source in (sources[i] for i in spread(len(sources), count)):
        if source.error:
            raise OSError(source.error)
        rows.append(compose(read_image(source.image)))
    return np.stack(rows)


def noise_faces(size: Tuple[int, int], count: int) -> np.ndarray:
    """Blurred noise where there are no faces, (N, H, W, 3), BGR uint8."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        noise = rng.normal(size=(*size, 3))
        blurred = cv2.GaussianBlur(noise, (0, 0), max(size) / 16)
        blurred = (blurred - blurred.mean()) / blurred.std()
        rows.append((blurred * 50 + 128).clip(0, 255).astype(np.uint8))
    return np.stack(rows)


def gather_faces(cfg: Config,
                 pipeline: Sequence[dict],
                 count: int,
                 folder: Optional[str] = None,
                 required: bool = False) -> Faces:
    """Faces to calibrate on and to compare with: never those of a test.

    Args:
        cfg (Config): The experiment.
        pipeline (Sequence[dict]): Of :func:`crop_pipeline`.
        count (int): How many at most.
        folder (str, optional): Images of aligned faces. Defaults to None,
            the training split of the config.
        required (bool): Whether noise will not do, where the training split
            is not at hand.
    """
    if folder is not None:
        return Faces(
            _folder_faces(folder, pipeline, count), f"images of '{folder}'")
    try:
        return Faces(
            training_faces(cfg, pipeline, count),
            'faces of the training split')
    except (FileNotFoundError, ValueError) as error:
        if required:
            raise type(error)(
                f'int8 needs faces to calibrate on: {error}. Or name a '
                'folder of aligned faces by --calibration-images') from error
        return Faces(
            noise_faces(crop_size(pipeline), count),
            'images of noise (there are no training faces)')
