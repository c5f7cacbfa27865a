# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/infer.py``: one forward pass."""
import contextlib
from typing import Callable, Dict, Optional

import torch
import torch.nn as nn

from orsa.apis.model import build_model, load_config
from orsa.models.utils.fast_copy import fast_copy
from .beside import beside_forward
from .clock import Clock
from .export import make_predict
from .plain import make_plain, unfuse

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)


def make_forward(config: str,
                 batch_size: int,
                 size: int = 224,
                 plain: bool = False,
                 dtype: Optional[str] = None,
                 device: str = 'cpu',
                 compiled: Optional[str] = None,
                 options: Optional[dict] = None,
                 graph: bool = False,
                 exported: Optional[str] = None,
                 beside: Optional[str] = None) -> Callable:
    """Prepare the forward pass of a batch of noise.

    Args:
        config (str): The experiment; its model is built with random weights.
        batch_size (int): B.
        size (int): Height and width of the images. Defaults to 224.
        plain (bool): Whether to use the plain implementation, see
            :mod:`.plain`. Defaults to False.
        dtype (str, optional): 'bfloat16' or 'float16', under autocast.
            Defaults to None.
        device (str): Device of model and batch. Defaults to 'cpu'.
        compiled (str, optional): A backend of ``torch.compile``, as
            'inductor'. Defaults to None, not compiled.
        options (dict, optional): Changes to the config. Defaults to None.
        graph (bool): Whether to trace it, and to let TorchScript give what it
            can to oneDNN's graph. Defaults to False.
        exported (str, optional): A file of ``tools/deployment/export.py`` in
            the place of the config's model. Defaults to None.
        beside (str, optional): A model of another implementation in the place
            of the config's, see :func:`.beside.build_beside`.
            Defaults to None.

    Returns:
        Callable: Predicts once and returns the seconds of 'priors' (not if
        compiled) and 'rest', of an exported file 'answer'.
    """
    if exported is not None:
        return make_predict(config, batch_size, path=exported)
    if beside is not None:
        return beside_forward(beside, batch_size, size, device)
    cfg = load_config(config)
    cfg.merge_from_dict(options or {})
    if plain:
        make_plain(cfg)
        unfuse()
    torch.manual_seed(0)
    model = build_model(cfg, pretrained=False).to(device).eval()
    if not plain:
        model = fast_copy(model)
    clock = Clock(device)
    if compiled is not None:
        model.compile(backend=compiled)
    for name in ('parsing_prior', 'landmark_prior'):
        prior = getattr(model.backbone, name, None)
        if prior is not None and compiled is None and not graph:
            clock.wrap(prior, 'forward', 'priors')
    inputs = torch.randn(
        batch_size, 3, size, size,
        generator=torch.Generator().manual_seed(0)).to(device)
    if graph:
        model = by_graph(model, inputs)
    precision = contextlib.nullcontext if dtype is None else (
        lambda: torch.autocast(torch.device(device).type, DTYPES[dtype]))

    def work() -> Dict[str, float]:
        with clock.stage('rest'), torch.no_grad(), precision():
            model(inputs)
        return clock.read()

    return work


@torch.no_grad()
def by_graph(model: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """Trace a model, and let TorchScript give what it can to oneDNN's graph.

    Args:
        model (nn.Module): A classifier in evaluation mode.
        inputs (Tensor): (B, 3, H, W), of the size that it will get.

    Returns:
        nn.Module: Gives the logits.
    """
    torch.jit.enable_onednn_fusion(True)
    return torch.jit.freeze(torch.jit.trace(model, inputs, check_trace=False))
