# Copyright (c) orsa contributors. All rights reserved.
"""Batches as plain tensors, texts and numbers, to store and to name."""
from typing import Any, List

import numpy as np
import torch
from mmengine.structures import BaseDataElement

_KIND = 'orsa_element'


def encode_batch(obj: Any) -> Any:
    """Turn a batch into what a checkpoint may hold.

    Args:
        obj (Any): Tensors, arrays, data elements, numbers and texts in dicts,
            lists and tuples. Of anything else its text is kept.
    """
    if isinstance(obj, torch.Tensor):
        return obj.detach().cpu().clone()
    if isinstance(obj, np.ndarray) and obj.dtype.kind in 'biuf':
        return torch.from_numpy(np.ascontiguousarray(obj).copy())
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, BaseDataElement):
        return {
            _KIND: type(obj).__name__,
            'metainfo': encode_batch(dict(obj.metainfo_items())),
            'data': encode_batch(dict(obj.items()))
        }
    if isinstance(obj, dict):
        return {
            k if isinstance(k, (int, str)) else str(k): encode_batch(v)
            for k, v in obj.items()
        }
    if isinstance(obj, (list, tuple)):
        return type(obj)(encode_batch(v) for v in obj) if type(obj) in (
            list, tuple) else [encode_batch(v) for v in obj]
    if obj is None or type(obj) in (bool, int, float, str):
        return obj
    if isinstance(obj, (bool, int, float, str)):  # an index with a memory
        return next(t for t in (bool, int, float, str) if isinstance(obj, t))(
            obj)
    return str(obj)


def decode_batch(obj: Any) -> Any:
    """Undo :func:`encode_batch`.

    Raises:
        ValueError: If there is an element of another kind than mmpretrain's
            ``DataSample``.
    """
    if isinstance(obj, dict) and _KIND in obj:
        if obj[_KIND] != 'DataSample':
            raise ValueError("only batches of mmpretrain's DataSample can be "
                             f'replayed, this one has {obj[_KIND]}')
        from mmpretrain.structures import DataSample
        sample = DataSample(metainfo=decode_batch(obj['metainfo']))
        for key, value in obj['data'].items():
            sample.set_field(decode_batch(value), key, field_type='data')
        return sample
    if isinstance(obj, dict):
        return {k: decode_batch(v) for k, v in obj.items()}
    if isinstance(obj, (list, tuple)):
        return type(obj)(decode_batch(v) for v in obj)
    return obj


def names_of(batch: Any) -> List[str]:
    """What the images of a batch are called: path, name or index.

    Returns:
        list[str]: Empty if the batch has no data samples.
    """
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    names = []
    for sample in samples if isinstance(samples, (list, tuple)) else []:
        for key in ('img_path', 'name', 'sample_idx'):
            if sample.get(key) is not None:
                names.append(str(sample.get(key)))
                break
        else:
            names.append('?')
    return names
