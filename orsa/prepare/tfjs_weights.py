# Copyright (c) orsa contributors. All rights reserved.
"""Weights in the files of TensorFlow.js, and of two networks in them.

The format: a JSON that lists tensors with shape and type, and files with their
values one after the other, `as TensorFlow.js writes them
<https://www.tensorflow.org/js/guide/save_load>`_.
"""
import os.path as osp
import re
from typing import Callable, Dict, Tuple

import numpy as np
import torch

from orsa.utils.fileio import load_json

State = Dict[str, torch.Tensor]


def read_tfjs(path: str) -> Dict[str, np.ndarray]:
    """Read the tensors of a model or of a list of weights.

    Args:
        path (str): The JSON: ``model.json`` of a model, or the manifest alone;
            the files that it names lie beside it.

    Returns:
        dict[str, np.ndarray]: By name, float32 or int32; values in 8 or 16
        bits are ``code * scale + min``, halves are converted.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the JSON is of another kind, or a file is shorter or
            longer than it says.
    """
    content = load_json(path)
    groups = content.get('weightsManifest') if isinstance(content,
                                                          dict) else content
    try:
        tensors = {}
        for group in groups:
            data = b''.join(
                _read(osp.join(osp.dirname(path), name))
                for name in group['paths'])
            place = 0
            for weight in group['weights']:
                value, place = _tensor(weight, data, place)
                tensors[weight['name']] = value
            if place != len(data):
                raise ValueError(f"'{path}' lists {place} bytes of "
                                 f"{group['paths']}, which have {len(data)}")
        return tensors
    except (KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is no list of TensorFlow.js weights: "
                         f'{error!r}') from error


def _read(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read()


def _tensor(weight: dict, data: bytes, place: int) -> Tuple[np.ndarray, int]:
    packed = weight.get('quantization') or {}
    kind = np.dtype(packed.get('dtype', weight['dtype'])).newbyteorder('<')
    count = int(np.prod(weight['shape'], dtype=np.int64))
    end = place + count * kind.itemsize
    if end > len(data):
        raise ValueError(f"'{weight['name']}' ends at byte {end}, and there "
                         f'are {len(data)}: the file is cut off')
    codes = np.frombuffer(data[place:end], kind).reshape(weight['shape'])
    if kind.kind == 'i':
        return codes.astype(np.int32), end
    value = codes.astype(np.float32)
    if 'scale' in packed:
        value = value * np.float32(packed['scale']) + np.float32(packed['min'])
    return value, end


def _kernel(value: np.ndarray, depthwise: bool = False) -> np.ndarray:
    """A kernel (h, w, in, out), or (h, w, channels, 1), as torch has it."""
    return value.transpose(2, 3, 0, 1) if depthwise else value.transpose(
        3, 2, 0, 1)


def convert_mobilenet(tensors: Dict[str, np.ndarray]) -> State:
    """Weights of HSE_FaceRec_tf's MobileNet for :class:`MobileNetV1`.

    Layers of age and gender, and the one before them, are left out. The
    published network takes BGR, the converted one RGB.
    """
    state = {}

    def put(key: str, name: str) -> None:
        scale = tensors.get(f'{name}_bn/batchnorm_1/mul')
        if scale is None:  # in the kernel
            kernel = _kernel(tensors[f'{name}/convolution/merged_input'])
        else:
            kernel = _kernel(tensors[f'{name}/depthwise_kernel'], True)
            kernel = kernel * scale[:, None, None, None]
        state[f'{key}.weight'] = kernel
        state[f'{key}.bias'] = tensors[f'{name}_bn/batchnorm_1/sub']

    put('stages.0.0', 'conv1')
    state['stages.0.0.weight'] = state['stages.0.0.weight'][:, ::-1]
    number = 0
    for stage, units in enumerate((1, 2, 2, 6, 2)):
        for unit in range(units):
            number += 1
            key = f'stages.{stage}.{unit + (stage == 0)}'
            put(f'{key}.0', f'conv_dw_{number}')
            put(f'{key}.1', f'conv_pw_{number}')
    return _as_torch(state)


def convert_dlib(tensors: Dict[str, np.ndarray]) -> State:
    """Weights of face-api's copy of dlib's network for :class:`DlibResNet`."""
    state = {}

    def put(key: str, name: str) -> None:
        scale = tensors[f'{name}/scale/weights']
        kernel = _kernel(tensors[f'{name}/conv/filters'])
        state[f'{key}.weight'] = kernel * scale[:, None, None, None]
        state[f'{key}.bias'] = (
            tensors[f'{name}/conv/bias'] * scale +
            tensors[f'{name}/scale/biases'])

    put('stem', 'conv32_down')
    names = [
        *(f'conv32_{i}' for i in (1, 2, 3)), 'conv64_down',
        *(f'conv64_{i}' for i in (1, 2, 3)), 'conv128_down',
        *(f'conv128_{i}' for i in (1, 2)), 'conv256_down',
        *(f'conv256_{i}' for i in (1, 2)), 'conv256_down_out'
    ]
    places = [(stage, unit) for stage, depth in enumerate((3, 4, 3, 3, 1))
              for unit in range(depth)]
    for name, (stage, unit) in zip(names, places, strict=True):
        for conv in ('conv1', 'conv2'):
            put(f'stages.{stage}.{unit}.{conv}', f'{name}/{conv}')
    return _as_torch(state)


def _as_torch(state: Dict[str, np.ndarray]) -> State:
    return {
        key: torch.from_numpy(np.ascontiguousarray(value, np.float32))
        for key, value in state.items()
    }


def converter_of(tensors: Dict[str, np.ndarray]) -> Callable[[dict], State]:
    """The function for these tensors, known by their names.

    Raises:
        ValueError: If they are of neither network.
    """
    for pattern, convert in ((r'conv_dw_1/depthwise_kernel',
                              convert_mobilenet), (r'conv32_down/conv/filters',
                                                   convert_dlib)):
        if any(re.fullmatch(pattern, name) for name in tensors):
            return convert
    raise ValueError(
        "these are neither the weights of human's faceres nor those of "
        f"face-api's face_recognition_model: {list(tensors)[:5]}, ...")
