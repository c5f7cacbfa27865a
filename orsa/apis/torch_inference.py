# Copyright (c) orsa contributors. All rights reserved.
"""What a PyTorch model computes of aligned faces in memory."""
from typing import Callable, List, Optional, Sequence

import numpy as np
import torch
import torch.nn as nn
from mmengine.dataset import Compose, default_collate

from orsa.faces.predictions import FaceOutputs
from orsa.models.priors import locate_from_edge
from orsa.utils.configs import scope_of, type_name

# Transforms that read the image, which is in memory already.
_LOADERS = ('LoadImageFromFile', 'LoadFace', 'DrawSyntheticFace',
            'LoadCachedPriors')


def face_outputs(model: nn.Module,
                 crops: Sequence[np.ndarray],
                 return_embedding: bool = False) -> FaceOutputs:
    """What a model and its priors compute of a batch of aligned faces.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): (H, W, 3), BGR uint8 each.
        return_embedding (bool): Whether to return embeddings too. Defaults to
            False.

    Returns:
        FaceOutputs: As arrays.
    """
    data, vectors = prepare(model, crops), None
    with torch.no_grad():
        if return_embedding:
            feats = model.extract_feat(data['inputs'])
            vectors = _array(model.head.pre_logits(feats))
            samples = model.head.predict(feats, data['data_samples'])
        else:
            samples = model(**data, mode='predict')
    scores = _array(torch.stack([s.pred_score for s in samples]))
    parser = getattr(model.backbone, 'parsing_prior', None)
    if not getattr(parser, 'can_parse', False):
        parser = None
    landmarks = _landmark_prior(model)
    return FaceOutputs(
        scores=scores,
        embedding=vectors,
        parsing=parser and _array(parser.parse(data['inputs'])),
        landmarks=landmarks
        and _array(locate_from_edge(landmarks, data['inputs'])),
        gives_visibility=getattr(landmarks, 'gives_visibility', False))


def _array(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _landmark_prior(model: nn.Module) -> Optional[nn.Module]:
    prior = getattr(model.backbone, 'landmark_prior', None)
    return prior if getattr(prior, 'can_locate', False) else None


def locator(
    model: nn.Module
) -> Optional[Callable[[Sequence[np.ndarray]], np.ndarray]]:
    """A function from crops to their landmarks (N, K, 3), counted from the
    edge; None if the model predicts none."""
    prior = _landmark_prior(model)
    if prior is None:
        return None
    return lambda crops: _array(
        locate_from_edge(prior,
                         prepare(model, crops)['inputs']))


def test_pipeline(cfg: dict) -> Compose:
    """The transforms that an image in memory goes through in a test.

    Args:
        cfg (dict): The experiment, with ``test_dataloader``.

    Returns:
        Compose: Without those that read the image.

    Raises:
        ValueError: If the config has none.
    """
    loader = (cfg or {}).get('test_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if pipeline is None:
        raise ValueError('predict_faces needs the test pipeline, expected '
                         'model.cfg.test_dataloader.dataset.pipeline, as '
                         'init_model sets it')
    with scope_of(cfg):
        return Compose([t for t in pipeline if type_name(t) not in _LOADERS])


def packed_crops(model: nn.Module, crops: Sequence[np.ndarray]) -> List[dict]:
    """Pack crops as in a test.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): (H, W, 3), BGR uint8 each.

    Returns:
        list[dict]: ``inputs`` (3, H, W) and ``data_samples`` of each.
    """
    pipeline = test_pipeline(getattr(model, 'cfg', None))
    return [
        pipeline(
            dict(img=crop, img_shape=crop.shape[:2], ori_shape=crop.shape[:2]))
        for crop in crops
    ]


def prepare(model: nn.Module, crops: Sequence[np.ndarray]) -> dict:
    """The batch as the model gets it in a test.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` returns it.
        crops (Sequence[np.ndarray]): (H, W, 3), BGR uint8 each.

    Returns:
        dict: ``inputs`` (B, 3, H, W), normalised, and ``data_samples``.
    """
    rows = packed_crops(model, crops)
    return model.data_preprocessor(default_collate(rows), False)
