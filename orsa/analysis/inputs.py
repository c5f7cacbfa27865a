# Copyright (c) orsa contributors. All rights reserved.
"""What analysis tools begin with: arguments, config, dataset, samples."""
import argparse
import copy
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS

from orsa.apis.model import load_config
from orsa.evaluation.predictions import Predictions
from orsa.utils.classes import model_classes
from orsa.utils.configs import add_cfg_options, scope_of, type_name
from orsa.utils.image_files import name_of
from orsa.visualization import spread


def analysis_parser(
    description: str,
    out: Optional[str] = None,
    images: Optional[int] = None,
    out_flags: Sequence[str] = ('--out', )
) -> argparse.ArgumentParser:
    """A parser with what the scripts share.

    Args:
        description (str): Of ``--help``, with its example.
        out (str, optional): Default of ``--out``; None for no such option.
        images (int, optional): How many test faces are drawn by a model where
            no ``--images`` are given; None for neither. Defaults to None.
        out_flags (Sequence[str]): The spellings of ``--out``.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or orsa::NAME.py')
    if images:
        parser.add_argument('checkpoint', help='of the complete model')
        parser.add_argument(
            '--images',
            nargs='+',
            help='aligned faces (default: the test split)')
        parser.add_argument(
            '-n', type=int, default=images, help='faces of the test split')
    if out:
        parser.add_argument(
            *out_flags,
            default=out,
            help='PNG to write (default: %(default)s)')
    add_cfg_options(parser)
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """The config of arguments of :func:`analysis_parser`, with its options."""
    cfg = load_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def number_as(model: nn.Module, cfg: Config) -> None:
    """Let the test data number their classes as a model's outputs are."""
    classes = model_classes(model)
    dataset = cfg.test_dataloader.dataset
    for one in dataset.get('datasets', [dataset]):
        if classes:
            one.classes = list(classes)


def build_dataset(cfg: Config, split: str, dataset: Optional[dict] = None):
    """Build the dataset of a split, or another one, loaded.

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


def packed_samples(cfg: Config, images: Optional[Sequence[str]],
                   count: int) -> List[dict]:
    """Image files, or ``count`` faces of the test split, through its pipeline.

    The latter are equally many of each class.
    """
    if images:
        with scope_of(cfg):
            pipeline = Compose([
                # of a config of synthetic faces
                dict(type='LoadImageFromFile')
                if type_name(one).startswith('Draw') else one
                for one in cfg.test_dataloader.dataset.pipeline
            ])
        return [pipeline(dict(img_path=path)) for path in images]
    dataset = build_dataset(cfg, 'test')
    labels = [
        int(dataset.get_data_info(i)['gt_label']) for i in range(len(dataset))
    ]
    return [dataset[int(i)] for i in spread(labels, count)]


def predicted_samples(dataset, predictions: Predictions,
                      chosen: Sequence[int]) -> Iterator[dict]:
    """The samples that some of the predictions are of.

    Args:
        dataset (Dataset): The test data.
        predictions (Predictions): Of all or some of them.
        chosen (Sequence[int]): Numbers of predictions.

    Raises:
        ValueError: If the dataset has no face of a name.
    """
    # a test without 'name' in its meta_keys has the names of files
    names = [(name_of(info), name_of(dict(info, name=None)))
             for info in map(dataset.get_data_info, range(len(dataset)))]
    index = {name: i for i, pair in enumerate(names) for name in pair}
    complete = len(names) == len(predictions.names)
    for i in chosen:
        name = predictions.names[i]
        # files of several folders may have one name: the order tells them
        place = i if complete and name in names[i] else index.get(name)
        if place is None:
            raise ValueError(
                f"'{predictions.path}' has a face '{name}', which is not in "
                'the test data: give the config of these data')
        yield dataset[int(place)]


def image_of(sample: dict) -> np.ndarray:
    """The image of a packed sample, (H, W, 3), BGR uint8."""
    return np.ascontiguousarray(sample['inputs'].permute(1, 2, 0).numpy())


def prediction_of(
        sample: dict, score: torch.Tensor,
        classes: Sequence[str]) -> Tuple[np.ndarray, str, str, float]:
    """A face of :func:`orsa.visualization.draw_prediction_grid`.

    Where a packed sample has no label, it is taken to be what is predicted.
    """
    predicted = classes[int(score.argmax())]
    label = sample['data_samples'].get('gt_label')
    truth = predicted if label is None else classes[int(label)]
    return image_of(sample), truth, predicted, float(score.max())
