# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/benchmarks/data.py`` does: samples by transform."""
from typing import Callable, Dict, Optional

import numpy as np
from mmengine.registry import DATASETS

from orsa.apis.model import load_config
from orsa.utils.configs import scope_of, type_name
from .clock import Clock


def make_samples(config: str,
                 part: str = 'train',
                 count: int = 64,
                 options: Optional[dict] = None) -> Callable:
    """Prepare reading samples through a config's pipeline, in one process.

    Args:
        config (str): The experiment.
        part (str): Of which loader. Defaults to 'train'.
        count (int): Samples a round, spread over the data and others in each
            round. Defaults to 64.
        options (dict, optional): Changes to the config. Defaults to None.

    Returns:
        Callable: Reads them and returns the seconds of a sample, by
        transform and of the 'rest'.
    """
    cfg = load_config(config)
    cfg.merge_from_dict(options or {})
    dataset_cfg = cfg[f'{part}_dataloader'].dataset
    with scope_of(cfg):
        dataset = DATASETS.build(dataset_cfg)
    clock = Clock()
    for transform_cfg, transform in zip(dataset_cfg.pipeline,
                                        dataset.pipeline.transforms):
        clock.wrap(transform, 'transform', type_name(transform_cfg))
    order = np.random.default_rng(0)

    def work() -> Dict[str, float]:
        for index in order.integers(0, len(dataset), count):
            with clock.part('rest'):
                dataset[int(index)]
        return {k: v / count for k, v in clock.read().items()}

    return work
