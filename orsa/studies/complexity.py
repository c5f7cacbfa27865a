# Copyright (c) orsa contributors. All rights reserved.
"""What a model costs: parameters, multiplications, time."""
import math
import platform
import time
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.analysis import FlopAnalyzer
from mmengine.analysis.jit_handles import get_shape

from orsa.apis.torch_inference import prepare


def processor_name() -> str:
    """The model of this machine's processor."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class ModuleCost(NamedTuple):
    """Parameters, trained ones, and multiplications with an addition."""
    all: int
    trained: int
    macs: int


class Complexity(NamedTuple):
    """What a model costs, see :func:`count_complexity`.

    Attributes:
        total (ModuleCost): The complete model.
        modules (dict[str, ModuleCost]): By name; 'rest' is what is left of it.
        uncounted (dict[str, int]): Operations that the counter does not know,
            and how often they occur.
    """
    total: ModuleCost
    modules: Dict[str, ModuleCost]
    uncounted: Dict[str, int]


def blank_input(model: nn.Module, size: Sequence[int] = (224, 224)):
    """A blank image as the model's test pipeline packs it, (1, 3, H, W)."""
    return prepare(model, [np.zeros((*size, 3), np.uint8)])['inputs']


def count_complexity(model: nn.Module, inputs: torch.Tensor) -> Complexity:
    """Count parameters and multiplications, by MMEngine's counter.

    Those of ``scaled_dot_product_attention``, which it passes over, are added.

    Args:
        model (nn.Module): A classifier; is left in evaluation mode.
        inputs (Tensor): (1, 3, H, W), preprocessed.

    Returns:
        Complexity: Of the model and of its modules: of an
        :class:`orsa.models.ORSANet` the encoder and the priors apart, else
        backbone, neck and head.
    """
    counter = FlopAnalyzer(model.eval(), (inputs, ))
    counter.set_op_handle('aten::scaled_dot_product_attention', _attention)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counter.tracer_warnings('none')
    with torch.no_grad():
        macs = {k: int(v) for k, v in counter.by_module().items()}
    parts = []
    for name, module in model.named_children():
        if hasattr(module, 'image_encoder'):
            parts += [(f'{name}.{k}', m) for k, m in module.named_children()]
        elif name != 'data_preprocessor':
            parts.append((name, module))
    modules = {
        name.rpartition('.')[2]:
        ModuleCost(*count_parameters(module), macs.get(name, 0))
        for name, module in parts
    }
    total = ModuleCost(*count_parameters(model), macs[''])
    rest = ModuleCost(*(t - sum(m)
                        for t, m in zip(total, zip(*modules.values()))))
    if any(rest):
        modules['rest'] = rest
    return Complexity(total, modules, dict(counter.unsupported_ops()))


def _attention(inputs: List[Any], outputs: List[Any]) -> int:
    """Multiplications of queries and keys, and of their product and values."""
    query, key, value = (get_shape(v) for v in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def count_parameters(module: nn.Module) -> Tuple[int, int]:
    """The number of parameters, and of those that are trained."""
    every = list(module.parameters())
    return (sum(p.numel() for p in every),
            sum(p.numel() for p in every if p.requires_grad))


def time_in_turn(calls: Dict[str, Callable[[], Any]],
                 rounds: int = 9) -> Dict[str, float]:
    """Median seconds that each of several calls takes, on one thread.

    They alternate, so that other work of the machine slows all of them.

    Args:
        calls (dict[str, Callable]): By name.
        rounds (int): How often each is called. Defaults to 9.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken: Dict[str, List[float]] = {name: [] for name in calls}
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: float(np.median(t)) for name, t in taken.items()}
