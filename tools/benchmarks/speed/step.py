# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/step.py``: one SAM step."""
import types
from typing import Callable, Dict, Optional

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS

from orsa.apis.model import build_model, load_config
from orsa.engine import CompileHook
from .beside import beside_step
from .clock import Clock
from .plain import PlainSAM, make_plain, unfuse

FIRST, SECOND = 'first pass', 'second pass'


def random_batch(cfg: Config, batch_size: int, size: int) -> dict:
    """Make a batch of noise as a data loader gives it.

    Args:
        cfg (Config): The experiment.
        batch_size (int): B.
        size (int): Height and width of the images.

    Returns:
        dict: ``inputs``, a list of B uint8 tensors (3, size, size), and
        ``data_samples`` with a label each.
    """
    from mmpretrain.structures import DataSample
    generator = torch.Generator().manual_seed(0)
    classes = cfg.model.head.num_classes
    return dict(
        inputs=[
            torch.randint(
                256, (3, size, size), dtype=torch.uint8, generator=generator)
            for _ in range(batch_size)
        ],
        data_samples=[
            DataSample().set_gt_label(i % classes) for i in range(batch_size)
        ])


def add_prior_outputs(model, batch: dict) -> None:
    """Add noise in the shape of the priors' outputs to a batch.

    Args:
        model (nn.Module): Has the priors in its backbone.
        batch (dict): Of :func:`random_batch`; is changed.
    """
    height, width = batch['inputs'][0].shape[1:]
    image = torch.zeros(1, 3, height, width)
    for name in ('parsing_prior', 'landmark_prior'):
        prior = getattr(model.backbone, name, None)
        if prior is None:
            continue
        output = prior(image)[0]
        for sample in batch['data_samples']:
            sample.set_field(torch.randn_like(output), prior.cache_key)


def random_model(cfg: Config) -> nn.Module:
    """Build a model with random weights, the same ones every time.

    Args:
        cfg (Config): The experiment.

    Returns:
        nn.Module: The model in training mode.
    """
    torch.manual_seed(0)
    model = build_model(cfg, pretrained=False)
    # INFO has a line for every parameter and its initialisation
    MMLogger.get_instance('speed', log_level='WARNING')
    model.init_weights()
    return model.train()


def make_step(config: str,
              batch_size: int,
              size: int = 224,
              plain: bool = False,
              dtype: Optional[str] = None,
              options: Optional[dict] = None,
              cached: bool = False,
              ddp: bool = False,
              device: str = 'cpu',
              compiled: Optional[str] = None,
              beside: Optional[str] = None) -> Callable:
    """Prepare one step on a batch of noise, of SAM where the config has it.

    Args:
        config (str): The experiment; its model is built with random weights.
        batch_size (int): B.
        size (int): Height and width of the images. Defaults to 224.
        plain (bool): Whether to use the plain implementation, see
            :mod:`.plain`. Defaults to False.
        dtype (str, optional): Of ``orsa.SAMOptimWrapper``. Defaults to None.
        options (dict, optional): Changes to the config. Defaults to None.
        cached (bool): Whether the batch has the outputs of the priors, as
            from a cache. Defaults to False.
        ddp (bool): Whether this is one of several ranks. Defaults to False.
        device (str): Of the model. Defaults to 'cpu'.
        compiled (str, optional): A backend of ``torch.compile``, as
            'inductor', for what ``orsa.CompileHook`` compiles.
            Defaults to None, not compiled.
        beside (str, optional): A model of another implementation in the place
            of the config's, see :func:`.beside.build_beside`.
            Defaults to None.

    Returns:
        Callable: Takes a step and returns the seconds of 'data', 'priors',
        'first pass', 'second pass' and 'optimizer'.
    """
    if beside is not None:
        return beside_step(beside, batch_size, size)
    cfg = load_config(config)
    cfg.merge_from_dict(options or {})
    if plain:
        make_plain(cfg)
        unfuse()
    if cached:
        cfg.model.data_preprocessor.type = 'orsa.CompanionDataPreprocessor'
    model = random_model(cfg)
    clock = Clock(device)
    for name in ('parsing_prior', 'landmark_prior'):
        prior = getattr(model.backbone, name, None)
        if prior is not None:
            clock.wrap(prior, 'forward', 'priors')
    clock.wrap(model.data_preprocessor, 'forward', 'data')
    batch = random_batch(cfg, batch_size, size)
    if cached:
        add_prior_outputs(model, batch)
    model.to(device)
    if compiled is not None:
        CompileHook(backend=compiled).before_train(
            types.SimpleNamespace(model=model))
    if ddp:
        from mmengine.model import MMDistributedDataParallel
        model = MMDistributedDataParallel(model, device_ids=None)
    prepare = _plain_step if plain else _own_step
    step = prepare(cfg, model, clock, dtype)

    def work() -> Dict[str, float]:
        with clock.stage(FIRST):
            step(batch)
        return clock.read()

    return work


def _own_step(cfg: Config, model, clock: Clock, dtype) -> Callable:
    from orsa.engine.loops.sam_loops import _SAMStep
    wrapper_cfg = cfg.optim_wrapper.to_dict()
    optimizer = _optimizer(wrapper_cfg.pop('optimizer'), model)
    for key in ('paramwise_cfg', 'constructor'):
        wrapper_cfg.pop(key, None)
    if dtype is not None:
        wrapper_cfg['dtype'] = dtype
    wrapper = OPTIM_WRAPPERS.build(dict(wrapper_cfg, optimizer=optimizer))
    clock.wrap(wrapper, 'step', 'optimizer')
    clock.wrap(wrapper, 'zero_grad', 'optimizer')
    wrapper.initialize_count_status(model, 0, 10**9)
    if not hasattr(wrapper, 'perturb'):  # without SAM
        return lambda batch: model.train_step(batch, wrapper)
    clock.wrap(wrapper, 'perturb', 'optimizer', then=SECOND)
    # the step of the loop, without a runner
    loop = object.__new__(_SAMStep)
    loop._pending = []
    loop.runner = types.SimpleNamespace(model=model, optim_wrapper=wrapper)
    return loop.sam_step


def _plain_step(cfg: Config, model, clock: Clock, dtype) -> Callable:
    optimizer = _optimizer(
        dict(
            cfg.optim_wrapper.optimizer.to_dict(), foreach=False, fused=False),
        model)
    sam = PlainSAM(optimizer, cfg.optim_wrapper.get('rho', 0.05))
    clock.wrap(sam, 'perturb', 'optimizer', then=SECOND)
    clock.wrap(sam, 'step', 'optimizer')

    def step(batch: dict) -> None:
        data = model.data_preprocessor(batch, True)
        for then in (sam.perturb, sam.step):
            losses = model._run_forward(data, mode='loss')
            model.parse_losses(losses)[0].backward()
            then()

    return step


def _optimizer(cfg: dict, model) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    return OPTIMIZERS.build(dict(cfg, params=trained))
