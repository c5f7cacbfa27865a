# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/data.py``: time per transform."""
from typing import Callable, Dict, Optional

import numpy as np
from mmengine.registry import DATASETS

from orsa.apis.model import load_config
from orsa.utils.configs import scope_of
from .clock import Clock


def make_samples(config: str,
                 split: str = 'train',
                 count: int = 64,
                 options: Optional[dict] = None) -> Callable:
    """Prepare to load samples by a config's pipeline, in one process.

    Args:
        config (str): The experiment.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        count (int): Samples per round, drawn anew from all of the split in
            each round. Defaults to 64.
        options (dict, optional): Changes to the config. Defaults to None.

    Returns:
        Callable: Loads them and returns the seconds per sample, by transform
        and of the 'rest'.
    """
    cfg = load_config(config)
    cfg.merge_from_dict(options or {})
    dataset_cfg = cfg[f'{split}_dataloader'].dataset
    with scope_of(cfg):
        dataset = DATASETS.build(dataset_cfg)
    clock = Clock()
    # some datasets leave out the transform that loads
    for transform in dataset.pipeline.transforms:
        clock.wrap(transform, 'transform', type(transform).__name__)
    order = np.random.default_rng(0)

    def work() -> Dict[str, float]:
        for index in order.integers(0, len(dataset), count):
            with clock.stage('rest'):
                dataset[int(index)]
        return {k: v / count for k, v in clock.read().items()}

    return work
