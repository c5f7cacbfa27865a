# Copyright (c) orsa contributors. All rights reserved.
"""Where a prior's output for a batch comes from: the prior cache, an earlier
pass over the same batch, the model of an image's fold, or the prior itself."""
import torch
import torch.nn as nn

from orsa.models.utils.same_batch import compute_once, provided


def prior_output(prior: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The output of a prior, computed only where it has to be.

    Args:
        prior (FrozenPrior): The prior.
        x (Tensor): Images (B, 3, H, W), with their auxiliary inputs.

    Returns:
        Tensor: What came with the images under ``prior.cache_key``, else the
        prior's own prediction; the same object again inside
        :func:`orsa.models.utils.same_batch.same_batch`.

    Raises:
        ValueError: If what came with the images has another shape.
    """
    cached = prior.cache_key and provided(x, prior.cache_key)
    if cached is not None:
        return _checked(prior, cached, x)
    if prior.training:  # drift: every pass moves the statistics
        return prior.predict(x)
    folds = prior.folds and provided(x, 'fold')
    if folds is None:
        return compute_once(prior, x, prior.predict)
    return compute_once(prior, x,
                        lambda x: prior.folds.predict(prior, x, folds))


def _checked(prior: nn.Module, cached: torch.Tensor,
             x: torch.Tensor) -> torch.Tensor:
    """Rows of the cache, if their shape is the prior's."""
    size, shape = tuple(x.shape[2:]), tuple(cached.shape[1:])
    if size not in prior.output_shapes:  # once for each size of image
        prior.output_shapes[size] = tuple(prior.predict(x[:1]).shape[1:])
    if shape != prior.output_shapes[size]:
        raise ValueError(
            f"the cached '{prior.cache_key}' has shape {shape}, but "
            f'{type(prior).__name__} gives {prior.output_shapes[size]} '
            f"({prior.output}) for {size[0]}x{size[1]} images: it is another "
            "prior's, or one of another size")
    return cached.to(x)
