# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/peak.py``: answers and steps of models, and
what the processor does at best."""
import functools
from collections import Counter
from typing import Callable, Dict, List, Optional, Tuple

import torch
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from orsa.apis.model import load_config
from .clock import Clock
from .export import make_predict
from .infer import make_forward
from .step import make_step

SIDE = 2048
PRODUCT = 'product'

# by the beginning of an operation's name, in this order
_KINDS = {
    'linear layers': ('aten::mm', 'aten::addmm', 'aten::bmm', 'aten::baddbmm',
                      'mkldnn::_linear', 'aten::matmul'),
    'attention': ('aten::_scaled_dot', 'aten::_softmax'),
    'normalization': ('aten::native_batch_norm', 'aten::native_layer_norm',
                      'aten::batch_norm', 'aten::native_instance_norm'),
    'activations':
    ('aten::relu', 'aten::clamp', 'aten::hardtanh', 'aten::_prelu',
     'aten::prelu', 'aten::gelu', 'aten::silu', 'aten::threshold'),
    'resizing': ('aten::upsample', 'aten::_upsample', 'aten::_adaptive'),
    'optimizer': ('aten::_fused', 'Optimizer'),
}


def make_product(side: int = SIDE,
                 device: str = 'cpu',
                 dtype: torch.dtype = torch.float32) -> Callable:
    """Prepare the product of two square matrices of noise.

    Args:
        side (int): Rows and columns. Defaults to 2048.
        device (str): Where they are. Defaults to 'cpu'.
        dtype (torch.dtype): Of both. Defaults to float32.

    Returns:
        Callable: Multiplies once and returns the seconds.
    """
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in 'ab')
    clock = Clock(device)

    def work() -> Dict[str, float]:
        with clock.stage(PRODUCT):
            a @ b
        return clock.read()

    return work


def make_work(engine: str,
              config: Optional[str] = None,
              batch_size: int = 1,
              size: int = 112,
              path: Optional[str] = None) -> Callable:
    """Prepare an answer or a training step.

    Args:
        engine (str): 'PyTorch', 'compiled' (inductor), 'ONNX Runtime', 'step',
            which is a training step as the config trains, or 'product', of
            two matrices of 2048x2048, which stands for the peak.
        config (str, optional): The experiment. Defaults to None, for the
            product.
        batch_size (int): B. Defaults to 1.
        size (int): Of the images. Defaults to 112.
        path (str, optional): The exported file of 'ONNX Runtime'.
            Defaults to None.

    Returns:
        Callable: Does it once and returns the seconds by stage.
    """
    if engine == PRODUCT:
        return make_product()
    if engine == 'ONNX Runtime':
        return make_predict(config, batch_size, path=path)
    if engine == 'step':
        return make_step(config, batch_size, size)
    return make_forward(
        config,
        batch_size,
        size,
        compiled='inductor' if engine == 'compiled' else None)


def count_flops(engine: str,
                config: Optional[str] = None,
                batch_size: int = 1,
                size: int = 112,
                path: Optional[str] = None) -> int:
    """Operations of the products and convolutions of :func:`make_work`.

    Two for a multiplication with its addition; what compiling or exporting
    makes of a model is counted as the model. A gradient takes two operations
    for each of the forward pass (torch's counter takes depthwise gradients for
    dense ones), frozen priors have none and run once a step. Arguments as of
    :func:`make_work`.
    """
    if engine == PRODUCT:
        return 2 * SIDE**3
    whole, priors = _flops_of_one(config, size)
    if engine == 'step':
        wrapper = load_config(config).optim_wrapper.type
        passes = 2 if wrapper == 'orsa.SAMOptimWrapper' else 1
        whole = 3 * passes * (whole - priors) + priors
    return batch_size * whole


@functools.lru_cache(maxsize=None)
def _flops_of_one(config: str, size: int) -> Tuple[int, int]:
    """Operations of the answer for one image, and those of the priors."""
    work = make_forward(config, 1, size)
    work()  # prepared priors compare themselves first
    with FlopCounterMode(display=False, depth=3) as counter:
        work()
    return counter.get_total_flops(), sum(
        sum(found.values())
        for name, found in counter.get_flop_counts().items()
        if name.endswith(('.parsing_prior', '.landmark_prior')))


def time_by_kind(engine: str,
                 rounds: int = 5,
                 **arguments) -> Dict[str, float]:
    """Time of each kind of operation, by torch's profiler.

    Returns:
        dict[str, float]: Percent of the whole by kind, the largest first.
    """
    work = make_work(engine, **arguments)
    work()
    with profile(record_shapes=True) as found:
        for _ in range(rounds):
            work()
    seconds: Counter = Counter()
    for event in found.key_averages(group_by_input_shape=True):
        kind = _kind(event.key, event.input_shapes or [])
        seconds[kind] += event.self_cpu_time_total
    whole = sum(seconds.values())
    return {k: 100 * v / whole for k, v in seconds.most_common()}


def _kind(name: str, shapes: List[list]) -> str:
    if 'conv' in name:
        # of the weights, which the gradient has in another place
        weights = [s for s in shapes if len(s) == 4][-1:]
        if not weights:
            return 'calls'
        (_, per_group, height, _), = weights
        if per_group == 1 and height > 1:
            return 'depthwise convolutions'
        return 'other convolutions' if height > 1 else '1x1 convolutions'
    for kind, names in _KINDS.items():
        if name.startswith(names):
            return kind
    return 'copies, sums and calls'
