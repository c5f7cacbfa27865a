# Copyright (c) orsa contributors. All rights reserved.
from typing import Iterable, List, NamedTuple, Tuple

import cv2
import numpy as np
import torch
import torch.nn as nn

from orsa.utils.fileio import atomic_path
from .cam import overlay_heat
from .prediction_sheet import prediction_cell, put_text

_INK = (40, 40, 40)


class CrossAttentionMap(NamedTuple):
    """How much landmark tokens look at image tokens.

    Attributes:
        weights (Tensor): (B, N, h, w), of each image and landmark token the
            shares of the places, mean over the heads. With ``mean_share``
            they sum to 1 for each landmark token.
        mean_share (Tensor): (B, N), what goes to the image's mean token,
            which is no place.
        logits (Tensor): (B, C), what the model answers.
    """
    weights: torch.Tensor
    mean_share: torch.Tensor
    logits: torch.Tensor


def attention_weights(query: torch.Tensor, key: torch.Tensor,
                      num_heads: int) -> torch.Tensor:
    """The weights that a fused attention does not give out.

    Args:
        query (Tensor): (B, M, d).
        key (Tensor): (B, N, d).
        num_heads (int): H.

    Returns:
        Tensor: (B, H, M, N), each row with a sum of 1.
    """
    query, key = (
        t.float().unflatten(2, (num_heads, -1)).transpose(1, 2)
        for t in (query, key))
    scores = query @ key.transpose(2, 3) / query.shape[-1]**.5
    return scores.softmax(-1)


@torch.no_grad()
def cross_attention(model: nn.Module,
                    inputs: torch.Tensor) -> CrossAttentionMap:
    """Where landmark tokens look, in a model with cross-interaction.

    Of the first level and the widest scale of
    :class:`orsa.models.necks.MultiScaleCrossInteraction`: there a token still
    is a place. Behind it, and at the narrower scales, convolutions have mixed
    the tokens. The forward pass is the ordinary one; the weights are computed
    again from what the fusion was given.

    Args:
        model (nn.Module): Gives logits (B, C) in mode 'tensor'.
        inputs (Tensor): (B, 3, H, W), preprocessed.

    Returns:
        CrossAttentionMap: By image, landmark token and place.

    Raises:
        ValueError: If the model has no such part, or its tokens are no
            places.
    """
    name, part, (height, width) = _find_part(model)
    fusion = part.levels[0].fusions[0]
    kept: List[torch.Tensor] = []
    handle = fusion.register_forward_pre_hook(
        lambda _, args: kept.append(args[0]))
    try:
        logits = model(inputs, mode='tensor')
    finally:
        handle.remove()
    if height * width + 1 != fusion.num_tokens:
        raise ValueError(f"'{name}' has {fusion.num_tokens - 1} tokens, but "
                         f'the grid is {height}x{width}')
    count = fusion.num_tokens
    normed = fusion.norm1(kept[-1])
    key, _ = fusion.kv(normed[:, :count]).chunk(2, dim=-1)
    weights = attention_weights(normed[:, count:], key, fusion.num_heads)
    # the means in front ask and are asked too, but are no places
    weights = weights.mean(1)[:, 1:]
    places = weights[..., 1:].unflatten(2, (height, width))
    return CrossAttentionMap(places, weights[..., 0], logits)


def _find_part(model: nn.Module) -> Tuple[str, nn.Module, Tuple[int, int]]:
    """The cross-interaction of a model, and the grid of its image tokens."""
    from orsa.models.backbones.orsanet import TokenAdapter
    from orsa.models.necks import cross_interaction
    found = [(name, m) for name, m in model.named_modules()
             if isinstance(m, cross_interaction.MultiScaleCrossInteraction)]
    if not found or not isinstance(found[0][1].levels[0].fusions[0],
                                   cross_interaction.CrossFusion):
        raise ValueError(
            'the model has no MultiScaleCrossInteraction, whose landmark '
            f'tokens ask image tokens; its neck is '
            f"{type(getattr(model, 'neck', None)).__name__}")
    name, part = found[0]
    adapters = [m for m in model.modules() if isinstance(m, TokenAdapter)]
    if adapters and adapters[0].layout == 'memory':
        raise ValueError(
            "token_layout='memory', as in the published weights, cuts the "
            "map's memory into tokens that are no places: attention to them "
            "cannot be drawn over a face. Models with token_layout='space' "
            'can be')
    if adapters:
        return name, part, adapters[0].grid
    side = round(part.num_tokens**.5)
    if side * side != part.num_tokens:
        raise ValueError(f"'{name}' has {part.num_tokens} image tokens, "
                         'which are no square grid')
    return name, part, (side, side)


def draw_attention_sheet(faces: Iterable[Tuple[np.ndarray, str, str, float,
                                               np.ndarray]],
                         out: str,
                         columns: int = 2,
                         size: int = 128) -> None:
    """Draw faces, each beside where its landmark tokens look.

    Three maps follow a face: the mean of all landmark tokens, of those of the
    upper half of the face, and of the lower half. Colours go from the least
    to the most that a place of this face gets in the three; the shares below
    a map say how much that is.

    Args:
        faces (Iterable[tuple]): Per face the image (H, W, 3) as BGR uint8,
            the true expression, the predicted one, its score in [0, 1] and
            the weights (N, h, w) of N = h * w landmark tokens.
        out (str): The PNG to write.
        columns (int): Faces in a row. Defaults to 2.
        size (int): Side of a picture, in pixels. Defaults to 128.

    Raises:
        ValueError: If there is no face.
    """
    strips = [_strip(*face, size) for face in faces]
    if not strips:
        raise ValueError('there is no face to draw')
    columns = min(columns, len(strips))
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % columns)
    rows = [
        np.hstack(strips[i:i + columns])
        for i in range(0, len(strips), columns)
    ]
    with atomic_path(out) as temporary:
        cv2.imwrite(temporary, np.vstack(rows))


def _strip(image: np.ndarray, truth: str, predicted: str, score: float,
           weights: np.ndarray, size: int) -> np.ndarray:
    # a landmark token is a place too, in the same grid
    half = len(weights) // 2
    maps = {
        'all landmarks': weights.mean(0),
        'upper half': weights[:half].mean(0),
        'lower half': weights[half:].mean(0)
    }
    lowest = min(m.min() for m in maps.values())
    span = max(m.max() for m in maps.values()) - lowest
    face = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    cells = [prediction_cell(face, truth, predicted, score, size)]
    for name, shares in maps.items():
        cell = np.full_like(cells[0], 255)
        heat = cv2.resize(
            ((shares - lowest) / max(span, 1e-12)).astype(np.float32),
            (size, size),
            interpolation=cv2.INTER_LINEAR)
        cell[6:6 + size, 6:6 + size] = overlay_heat(face, heat)
        lines = (name, f'{100 * shares.min():.1f} to '
                 f'{100 * shares.max():.1f}% a place')
        for index, line in enumerate(lines):
            put_text(cell, line, (6, size + 23 + 15 * index), _INK, size)
        cells.append(cell)
    gap = np.full((len(cells[0]), 16, 3), 255, np.uint8)
    return np.hstack([*cells, gap])
