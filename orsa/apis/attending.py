# Copyright (c) orsa contributors. All rights reserved.
"""Where landmark tokens look: what ``vis_attention.py`` does."""
from typing import Optional, Sequence

import numpy as np
from mmengine.config import Config

from orsa.visualization.attention import cross_attention, draw_attention_sheet
from .analysing import batches_of, samples_of, words_of
from .model import init_model


def draw_attention(cfg: Config,
                   checkpoint: str,
                   out: str,
                   images: Optional[Sequence[str]] = None,
                   count: int = 14) -> np.ndarray:
    """Draw where landmark tokens look, in a model with cross-interaction.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the whole model.
        out (str): The PNG to write: faces, each beside its maps, see
            :func:`orsa.visualization.attention.draw_attention_sheet`.
        images (Sequence[str], optional): Files of faces, which go through the
            test pipeline. Defaults to None, faces of the test split.
        count (int): Of the test split. Defaults to 14.

    Returns:
        np.ndarray: (B, N, h, w), of each face and landmark token the shares
        of the places.

    Raises:
        ValueError: If the model has no such attention, or its tokens are no
            places.
    """
    model = init_model(cfg, checkpoint)
    classes = list(model.dataset_meta['classes'])
    samples = samples_of(cfg, images, count)
    weights, scores = [], []
    for inputs in batches_of(model, samples):
        found = cross_attention(model, inputs)
        weights.extend(found.weights.cpu().numpy())
        scores.extend(found.logits.softmax(1))
    draw_attention_sheet(
        ((*words_of(sample, score, classes), shares)
         for sample, score, shares in zip(samples, scores, weights)), out)
    return np.stack(weights)
