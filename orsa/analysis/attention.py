# Copyright (c) orsa contributors. All rights reserved.
"""What landmark tokens attend to: what ``vis_attention.py`` does."""
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import init_model
from orsa.visualization import draw_attention_grid
from .inputs import number_as, packed_samples, prediction_of


class CrossAttentionMap(NamedTuple):
    """The attention of landmark tokens to image tokens.

    Attributes:
        weights (Tensor): (B, N, h, w), of each image and landmark token those
            of the places, mean over the heads. With ``mean_weight`` they sum
            to 1 for each landmark token.
        mean_weight (Tensor): (B, N), of the image's mean token.
        logits (Tensor): (B, C), of the classes.
    """
    weights: torch.Tensor
    mean_weight: torch.Tensor
    logits: torch.Tensor


def attention_weights(query: torch.Tensor, key: torch.Tensor,
                      num_heads: int) -> torch.Tensor:
    """The weights that a fused attention does not give out, (B, H, M, N).

    Args:
        query (Tensor): (B, M, d).
        key (Tensor): (B, N, d).
        num_heads (int): H.
    """
    query, key = (
        t.float().unflatten(2, (num_heads, -1)).transpose(1, 2)
        for t in (query, key))
    scores = query @ key.transpose(2, 3) / query.shape[-1]**.5
    return scores.softmax(-1)


@torch.no_grad()
def cross_attention(model: nn.Module,
                    inputs: torch.Tensor) -> CrossAttentionMap:
    """What landmark tokens attend to, in a model with cross-interaction.

    Of the first level and the widest scale of
    :class:`orsa.models.necks.MultiScaleCrossInteraction`: elsewhere
    convolutions have mixed the tokens, which are no places any more. The
    weights are computed again from the fusion's inputs.

    Args:
        model (nn.Module): Gives logits (B, C) in mode 'tensor'.
        inputs (Tensor): (B, 3, H, W), preprocessed.

    Returns:
        CrossAttentionMap: By image, landmark token and place.

    Raises:
        ValueError: If the model has no such module, or its tokens are no
            places.
    """
    name, module, (height, width) = find_cross_attention(model)
    fusion = module.levels[0].fusions[0]
    inputs_of: List[torch.Tensor] = []
    handle = fusion.register_forward_pre_hook(
        lambda _, args: inputs_of.append(args[0]))
    try:
        logits = model(inputs, mode='tensor')
    finally:
        handle.remove()
    if height * width + 1 != fusion.num_tokens:
        raise ValueError(f"'{name}' has {fusion.num_tokens - 1} tokens, but "
                         f'the grid is {height}x{width}')
    count = fusion.num_tokens
    normed = fusion.norm1(inputs_of[-1])
    key, _ = fusion.kv(normed[:, :count]).chunk(2, dim=-1)
    weights = attention_weights(normed[:, count:], key, fusion.num_heads)
    # the means in front are queries and keys too, but no places
    weights = weights.mean(1)[:, 1:]
    places = weights[..., 1:].unflatten(2, (height, width))
    return CrossAttentionMap(places, weights[..., 0], logits)


def find_cross_attention(
        model: nn.Module) -> Tuple[str, nn.Module, Tuple[int, int]]:
    """The cross-interaction of a model, and the grid of its image tokens.

    Returns:
        tuple: The name of the module, itself, and rows and columns.

    Raises:
        ValueError: If the model has none, or its tokens are no places.
    """
    # saves start-up: importing models takes seconds, and warns
    from orsa.models.backbones.orsanet import TokenAdapter
    from orsa.models.necks import cross_interaction
    found = [(name, m) for name, m in model.named_modules()
             if isinstance(m, cross_interaction.MultiScaleCrossInteraction)]
    if not found or not isinstance(found[0][1].levels[0].fusions[0],
                                   cross_interaction.CrossFusion):
        raise ValueError(
            'the model has no MultiScaleCrossInteraction, whose landmark '
            'tokens attend to image tokens; its neck is '
            f"{type(getattr(model, 'neck', None)).__name__}")
    name, module = found[0]
    adapters = [m for m in model.modules() if isinstance(m, TokenAdapter)]
    if adapters and adapters[0].layout == 'memory':
        raise ValueError(
            "the tokens of token_layout='memory', as in the published "
            'weights, are no places: only attention with '
            "token_layout='space' can be drawn over a face")
    if adapters:
        return name, module, adapters[0].grid
    side = round(module.num_tokens**.5)
    if side * side != module.num_tokens:
        raise ValueError(f"'{name}' has {module.num_tokens} image tokens, "
                         'which are no square grid')
    return name, module, (side, side)


def draw_attention(cfg: Config,
                   checkpoint: str,
                   out: str,
                   images: Optional[Sequence[str]] = None,
                   count: int = 14) -> np.ndarray:
    """Draw what landmark tokens attend to, with cross-interaction.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the complete model.
        out (str): The PNG to write, see
            :func:`orsa.visualization.draw_attention_grid`.
        images (Sequence[str], optional): See :func:`.packed_samples`.
        count (int): Of the test split. Defaults to 14.

    Returns:
        np.ndarray: (B, N, h, w), the weights of each face and landmark token.
    """
    model = init_model(cfg, checkpoint)
    number_as(model, cfg)
    classes = list(model.dataset_meta['classes'])
    samples = packed_samples(cfg, images, count)
    weights, scores = [], []
    for _, found in predict_dataset(
            model, samples,
            lambda data: cross_attention(model, data['inputs'])):
        weights.extend(found.weights.cpu().numpy())
        scores.extend(found.logits.softmax(1))
    draw_attention_grid(
        ((*prediction_of(sample, score, classes), maps)
         for sample, score, maps in zip(samples, scores, weights)), out)
    return np.stack(weights)
