# Copyright (c) orsa contributors. All rights reserved.
"""Looking into models and data: ``tools/analysis_tools``."""
import argparse
import copy
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import init_model, load_config
from orsa.evaluation import FERMetric
from orsa.studies.comparison import read_answers
from orsa.studies.occlusion_metrics import CLEAN
from orsa.utils.configs import OptionsAction, scope_of, split_pipeline
from orsa.utils.face_regions import LAPA_PALETTE
from orsa.utils.fileio import load_json
from orsa.visualization import (draw_class_sheet, draw_prediction_sheet,
                                plot_confusion_matrix, spread)
from orsa.visualization.annotations import draw_annotations
from orsa.visualization.cam import grad_cam, overlay_heat


def analysis_parser(description: str,
                    out: Optional[str] = None,
                    checkpoint: bool = False) -> argparse.ArgumentParser:
    """A parser with what the scripts share.

    Args:
        description (str): Of ``--help``, with its example.
        out (str, optional): Default of ``--out``; None for no such option.
        checkpoint (bool): Whether there is one. Defaults to False.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    if checkpoint:
        parser.add_argument('checkpoint', help='of the whole model')
    if out:
        parser.add_argument(
            '--out', default=out, help='PNG to write (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override settings of the config, as key=value')
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """The config of parsed arguments, with its options merged."""
    cfg = load_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def build_dataset(cfg: Config, split: str, dataset: Optional[dict] = None):
    """The data set of a split, loaded.

    Args:
        cfg (Config): The experiment.
        split (str): 'train', 'val' or 'test'.
        dataset (dict, optional): Another one than the config's.
            Defaults to None.

    Raises:
        ValueError: If the config has no such split.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f"'{cfg.filename}' has no {split}_dataloader")
    with scope_of(cfg):
        built = DATASETS.build(copy.deepcopy(dataset or loader.dataset))
        if hasattr(built, 'full_init'):
            built.full_init()
    return built


def spread_samples(cfg: Config, count: int) -> List[dict]:
    """Packed test samples, equally many of each class."""
    dataset = build_dataset(cfg, 'test')
    labels = [
        int(dataset.get_data_info(i)['gt_label']) for i in range(len(dataset))
    ]
    return [dataset[int(i)] for i in spread(labels, count)]


def samples_of(cfg: Config, images: Optional[Sequence[str]],
               count: int) -> List[dict]:
    """Packed samples of files of faces, or if there are none of the test."""
    if not images:
        return spread_samples(cfg, count)
    with scope_of(cfg):
        pipeline = Compose(cfg.test_dataloader.dataset.pipeline)
    return [pipeline(dict(img_path=path)) for path in images]


def picture_of(sample: dict) -> np.ndarray:
    """(H, W, 3), BGR uint8, as the pipeline made it."""
    return np.ascontiguousarray(sample['inputs'].permute(1, 2, 0).numpy())


def words_of(sample: dict, score: torch.Tensor,
             classes: Sequence[str]) -> Tuple[np.ndarray, str, str, float]:
    """Picture, true and predicted class and score (C, ) of a sample.

    Where the truth is unknown, it is what is predicted.
    """
    said = classes[int(score.argmax())]
    label = sample['data_samples'].get('gt_label')
    truth = said if label is None else classes[int(label)]
    return picture_of(sample), truth, said, float(score.max())


# --------------------------------------------------------------------- CAM


def draw_cams(cfg: Config,
              checkpoint: str,
              out: str,
              images: Optional[Sequence[str]] = None,
              count: int = 16,
              layer: Optional[str] = None,
              expression: Optional[str] = None) -> None:
    """Draw where a model looks, by :func:`orsa.visualization.cam.grad_cam`.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the whole model.
        out (str): The PNG to write: faces, each beside its map.
        images (Sequence[str], optional): Files of faces, which go through the
            test pipeline. Defaults to None, faces of the test split.
        count (int): Of the test split. Defaults to 16.
        layer (str, optional): The module whose map it is, see there.
            Defaults to None.
        expression (str, optional): What the model is asked about. Defaults to
            None, what it predicts.
    """
    model = init_model(cfg, checkpoint)
    classes = list(model.dataset_meta['classes'])
    if expression is not None and expression not in classes:
        raise ValueError(f"the model does not know '{expression}', only "
                         f'{classes}')
    samples = samples_of(cfg, images, count)
    heats, scores = [], []
    target = None if expression is None else classes.index(expression)
    for _, (heat, logits) in predict_dataset(
            model, samples,
            lambda data: grad_cam(model, layer, data['inputs'], target)):
        heats.extend(heat)
        scores.extend(logits.softmax(1))

    def cells():
        for sample, heat, score in zip(samples, heats, scores):
            face, *words = words_of(sample, score, classes)
            for picture in (face, overlay_heat(face, heat)):
                yield (picture, *words)

    draw_prediction_sheet(cells(), out)


# -------------------------------------------------------- confusion matrix


def draw_confusion(path: str, out: str, title: str = '') -> np.ndarray:
    """Draw the confusion matrix of a test.

    Args:
        path (str): ``metrics.json``, or predictions as
            :func:`orsa.studies.comparison.read_answers` reads them.
        out (str): The PNG to write.
        title (str): Above the matrix, before accuracy and UAR.
            Defaults to ''.

    Returns:
        np.ndarray: (C, C) counts, rows are the truth.
    """
    report: Dict = {}
    if path.endswith('.json') and osp.isfile(path):
        report = load_json(path)
    if 'confusion_matrix' not in report:
        answers = read_answers(path)
        labels = [answers.classes.index(name) for name in answers.labels]
        report = FERMetric.calculate(answers.scores[CLEAN], labels,
                                     answers.classes)
    matrix = np.array(report['confusion_matrix'])
    figures = f"accuracy {report['accuracy']:.1f}, UAR {report['uar']:.1f}"
    plot_confusion_matrix(matrix, report['classes'], out,
                          f'{title}: {figures}' if title else figures)
    return matrix


# ----------------------------------------------------------------- browsing


def browse(cfg: Config,
           out: str,
           count: int = 40,
           split: str = 'train',
           columns: int = 10,
           size: int = 128,
           plain: bool = False) -> Dict[str, List[np.ndarray]]:
    """Draw samples as their pipeline makes them, with what they say.

    Of any config of mmpretrain, mmseg or mmpose: occluders are in the
    picture, with an outline; landmarks are blue, orange where hidden; masks
    are laid over it.

    Args:
        cfg (Config): The experiment.
        out (str): The PNG to write: a row for each class, or rows of samples
            where there are none.
        count (int): Samples. Defaults to 40.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        columns (int): Samples in a row at most. Defaults to 10.
        size (int): Side of a sample, in pixels. Defaults to 128.
        plain (bool): Draw the pictures alone. Defaults to False.

    Returns:
        dict[str, list[np.ndarray]]: The pictures in each row.
    """
    loader = cfg.get(f'{split}_dataloader') or {}
    dataset = build_dataset(cfg, split, _unpacked(loader.get('dataset')))
    names = _class_names(cfg, dataset)
    if names is None:
        chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset)))
        chosen = chosen.astype(int)
        titles = [f'samples {i // columns + 1}' for i in range(len(chosen))]
    else:
        chosen = spread(np.unique(names, return_inverse=True)[1], count)
        titles = [names[i] for i in chosen]
    palette = dataset.metainfo.get('palette') or LAPA_PALETTE
    rows: Dict[str, List[np.ndarray]] = {}
    for title, index in zip(titles, chosen):
        rows.setdefault(title, []).append(
            _draw_sample(dataset[int(index)], palette, size, plain))
    counts = {
        title: (names or titles).count(title)
        for title in dict.fromkeys(titles)
    }
    draw_class_sheet(
        rows, counts, out, f'{osp.basename(str(cfg.filename))}, {split}: '
        f'{len(chosen)} of {len(dataset)}',
        min(columns, max(map(len, rows.values()))), size)
    return rows


def _unpacked(dataset: Optional[dict]) -> Optional[dict]:
    """A data set's config whose samples are not packed at the end."""
    if dataset is None:
        return None
    dataset = copy.deepcopy(dataset)
    for inner in [dataset.get('dataset'), *(dataset.get('datasets') or [])]:
        if inner is not None:
            inner.update(_unpacked(inner))
    if dataset.get('pipeline'):
        load, transforms, _ = split_pipeline(dataset['pipeline'])
        dataset['pipeline'] = load + transforms
    return dataset


def _class_names(cfg: Config, dataset) -> Optional[List[str]]:
    """Of every sample the name of its class, None where there are none."""
    # a sample of mmseg or mmpose may have a label, of which its classes,
    # those of pixels or points, say nothing
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
    # mmpose's name after its warp, before it, and mmpretrain's
    points = next(
        (sample[k]
         for k in ('transformed_keypoints', 'keypoints', 'gt_keypoints')
         if k in sample), None)
    seen = next((sample[k]
                 for k in ('keypoints_visible', 'gt_keypoints_visible')
                 if k in sample), None)
    if points is not None:
        points = np.asarray(points).reshape(-1, np.shape(points)[-1])[:, :2]
    if seen is not None:
        # mmpose also has visibility and a weight of each
        seen = np.asarray(seen).reshape(len(points), -1)[:, 0]
    return draw_annotations(
        sample['img'],
        points,
        seen,
        sample.get('gt_seg_map'),
        _cover_of(sample),
        palette,
        size=size)


def _cover_of(sample: dict) -> Optional[np.ndarray]:
    """The visible mask of a sample at the size of its picture.

    mmcv's transforms do not carry it along. What was resized since is
    resized; where something else was done it is not known any more, and None.
    """
    mask, shape = sample.get('visible_mask'), sample['img'].shape[:2]
    if mask is None or mask.shape == shape:
        return mask
    height, width = mask.shape
    if 'scale_factor' not in sample or (
            round(width * sample['scale_factor'][0]),
            round(height * sample['scale_factor'][1])) != shape[::-1]:
        return None
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST)
