# Copyright (c) orsa contributors. All rights reserved.
"""The one loop that runs a model over the faces of a dataset."""
from typing import Any, Callable, Iterable, Iterator, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader


def predict_dataset(model: nn.Module,
                    data: Iterable,
                    forward: Optional[Callable[[dict], Any]] = None,
                    indices: Optional[Iterable] = None,
                    batch_size: int = 32) -> Iterator[Tuple[dict, Any]]:
    """Run a model over the faces of a dataset, batch by batch.

    Random generators are left alone, and so is a caller's gradient mode
    between two batches.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it; is put
            into evaluation mode.
        data (Dataset | Sequence | Iterable): Packed samples, by index; or
            collated batches, e.g. a ``DataLoader`` with workers.
        forward (Callable, optional): What is called, without gradients, on
            a batch behind the data preprocessor: a dict of ``inputs``
            (B, 3, H, W) and, if there are any, ``data_samples``. Defaults to
            None, the model's ``test_step``, which gives a list of data
            samples with ``pred_score`` (C, ).
        indices (Iterable, optional): Of the samples, in their order. Defaults
            to None, all of them.
        batch_size (int): Samples at a time. Defaults to 32.

    Yields:
        tuple[dict, Any]: A collated batch as the dataset gives it, and what
        the model gives for it.

    Raises:
        ValueError: If there are indices of batches.

    Examples:
        >>> from orsa.apis.dataset import predict_dataset
        >>> scores = [
        ...     sample.pred_score.cpu().numpy()
        ...     for _, samples in predict_dataset(model, dataset)
        ...     for sample in samples]  # doctest: +SKIP
    """
    if hasattr(data, '__getitem__'):
        data = DataLoader(
            data,
            batch_size,
            sampler=indices,
            collate_fn=default_collate,
            # a loader draws a seed, by default from the global generator
            generator=torch.Generator())
    elif indices is not None:
        raise ValueError('indices are of samples, but data are batches')
    model.eval()
    for batch in data:
        with torch.no_grad():
            if forward is None:
                outputs = model.test_step(batch)
            else:
                outputs = forward(model.data_preprocessor(batch, False))
        yield batch, outputs
