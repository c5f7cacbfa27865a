# Copyright (c) orsa contributors. All rights reserved.
"""Batch normalisation for a network that has none, without changing it."""
from typing import Dict

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, MODELS

from orsa.datasets.seeding import set_dataset_epoch
from orsa.utils.configs import scope_of

_BATCH = 64


@torch.no_grad()
def add_norm(state: Dict[str, torch.Tensor],
             cfg: Config,
             count: int = 2048) -> Dict[str, torch.Tensor]:
    """Add the normalisation layers that a config's image encoder has.

    Each gets the mean and variance of its inputs over augmented faces of the
    training split as its statistics, and as its shift and scale too: the
    network computes what it did.

    Args:
        state (dict[str, Tensor]): Weights of the encoder without them.
        cfg (Config): The experiment.
        count (int): Faces. Defaults to 2048.

    Returns:
        dict[str, Tensor]: With the layers.
    """
    with scope_of(cfg):
        faces = DATASETS.build(cfg.train_dataloader.dataset)
        set_dataset_epoch(faces, 0)
        preprocess = MODELS.build(cfg.model.data_preprocessor)
        backbone = cfg.model.backbone
        encoder = MODELS.build(backbone.get('image_encoder', backbone)).eval()
    encoder.load_state_dict(state, strict=False)
    norms = {
        name: module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    sums = {name: 0. for name in norms}

    def record(name: str, x: torch.Tensor) -> None:
        x = x.double()
        sums[name] += torch.stack([x, x * x]).mean((1, 3, 4)) * len(x)

    hooks = [
        module.register_forward_pre_hook(
            lambda _, x, name=name: record(name, x[0]))
        for name, module in norms.items()
    ]
    chosen = torch.randperm(
        len(faces), generator=torch.Generator().manual_seed(0))[:count]
    for some in chosen.split(_BATCH):
        data = default_collate([faces[i] for i in some.tolist()])
        encoder(preprocess(data, True)['inputs'])
    for hook in hooks:
        hook.remove()
    for name, module in norms.items():
        mean, square = sums[name] / len(chosen)
        # of a channel that is always the same too
        variance = (square - mean**2).clamp(min=1e-4)
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        module.bias.copy_(mean)
        module.weight.copy_((variance + module.eps).sqrt())
    return encoder.state_dict()
