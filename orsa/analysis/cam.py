# Copyright (c) orsa contributors. All rights reserved.
"""Which places of a face speak for a class: what ``vis_cam.py`` does."""
from typing import Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import init_model
from orsa.visualization import draw_prediction_grid
from orsa.visualization.annotations import overlay_heat
from .inputs import number_as, packed_samples, prediction_of

_PLACES = dict(dim=(2, 3), keepdim=True)


def _gradcam(grad: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
    return grad.mean(**_PLACES)


def _gradcam_plus_plus(grad: torch.Tensor,
                       feature: torch.Tensor) -> torch.Tensor:
    # the paper's quotient of derivatives of exp(logit), simplified
    return (F.relu(grad) / (2 + grad * feature.sum(**_PLACES))).sum(**_PLACES)


def _xgradcam(grad: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
    total = feature.sum(**_PLACES)
    # a channel that is 0 everywhere adds nothing
    return (grad * feature).sum(**_PLACES) / total.where(total != 0, 1.)


def _layercam(grad: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
    return F.relu(grad)


# Of gradient and map, (B, D, h, w), the weights of channels or of places
METHODS = {
    'gradcam': _gradcam,
    'gradcam++': _gradcam_plus_plus,
    'xgradcam': _xgradcam,
    'layercam': _layercam
}


def grad_cam(model: nn.Module,
             layer: Optional[str],
             inputs: torch.Tensor,
             classes: Union[int, Sequence[int], None] = None,
             method: str = 'gradcam') -> Tuple[np.ndarray, torch.Tensor]:
    """Where a classifier looks, by the gradients of a map.

    `Grad-CAM <https://arxiv.org/abs/1610.02391>`_: the channels of a map, each
    weighted by the mean gradient of the class in it; what speaks against the
    class is left out. The others weight otherwise: `Grad-CAM++
    <https://arxiv.org/abs/1710.11063>`_ by positive gradients, so that several
    places count as much as one; `XGrad-CAM
    <https://arxiv.org/abs/2008.02312>`_ by the mean gradient where the map is
    high; `LayerCAM <https://doi.org/10.1109/TIP.2021.3089943>`_ each place by
    its own positive gradient.

    Args:
        model (nn.Module): Gives logits (B, C) in mode 'tensor'.
        layer (str, optional): The module whose output is the map,
            (B, D, h, w) or a tuple that ends with it. None is the image
            encoder of :class:`orsa.models.ORSANet`, else the backbone.
        inputs (Tensor): (B, 3, H, W), preprocessed.
        classes (int | Sequence[int], optional): The target class, of all
            images or of each. Defaults to None, the predicted ones.
        method (str): 'gradcam', 'gradcam++', 'xgradcam' or 'layercam'; the
            last three are meant for maps that are not negative. Defaults to
            'gradcam'.

    Returns:
        tuple[np.ndarray, Tensor]: (B, H, W), of each image in [0, 1], all 0
        where nothing speaks for the class; and the logits (B, C).

    Raises:
        ValueError: If there is no such method or module, its output is no
            map, or it gets no gradients, as of a frozen prior.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method '{method}', only "
                         f'{list(METHODS)}')
    if layer is None:
        layer = 'backbone'
        layer += '.image_encoder' * hasattr(model.backbone, 'image_encoder')
    module = dict(model.named_modules()).get(layer)
    if module is None:
        raise ValueError(f"the model has no module '{layer}', at its top are "
                         f'{[name for name, _ in model.named_children()]}')
    outputs = []
    handle = module.register_forward_hook(
        lambda _, __, output: outputs.append(output))
    try:
        with torch.enable_grad():
            logits = model(inputs, mode='tensor')
    finally:
        handle.remove()
    feature = outputs[-1] if outputs else None
    while isinstance(feature, (tuple, list)):
        feature = feature[-1]
    if not isinstance(feature, torch.Tensor) or feature.ndim != 4:
        shape = getattr(feature, 'shape', None)
        raise ValueError(f"'{layer}' should give a map of 4 dimensions, but "
                         f'gave {None if shape is None else tuple(shape)}')
    if not feature.requires_grad:
        raise ValueError(f"'{layer}' gets no gradients, it is frozen: name a "
                         'module that is trained')
    chosen = logits.argmax(1) if classes is None else torch.as_tensor(
        classes, device=logits.device).expand(len(logits))
    with torch.enable_grad():
        score = logits.gather(1, chosen[:, None]).sum()
    gradient, = torch.autograd.grad(score, feature)
    weights = METHODS[method](gradient, feature)
    maps = F.relu((weights * feature).sum(1, keepdim=True)).detach()
    maps = F.interpolate(
        maps, inputs.shape[2:], mode='bilinear', align_corners=False)[:, 0]
    highest = maps.amax(dim=(1, 2), keepdim=True)
    maps = maps / highest.clamp(min=torch.finfo(maps.dtype).tiny)
    return maps.cpu().numpy(), logits.detach()


def draw_cams(cfg: Config,
              checkpoint: str,
              out: str,
              images: Optional[Sequence[str]] = None,
              count: int = 16,
              layer: Optional[str] = None,
              expression: Optional[str] = None,
              device: str = 'cpu',
              method: str = 'gradcam') -> None:
    """Draw faces, each beside its map of :func:`grad_cam`.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the complete model.
        out (str): The PNG to write.
        images (Sequence[str], optional): See :func:`.packed_samples`.
        count (int): Of the test split. Defaults to 16.
        layer (str, optional): As of :func:`grad_cam`.
        expression (str, optional): The target class, or its index. Defaults to
            None, the predicted one.
        device (str): Of the model. Defaults to 'cpu'.
        method (str): As of :func:`grad_cam`. Defaults to 'gradcam'.
    """
    model = init_model(cfg, checkpoint, device)
    number_as(model, cfg)
    classes = list(model.dataset_meta['classes'])
    if expression in map(str, range(len(classes))):
        expression = classes[int(expression)]
    if expression is not None and expression not in classes:
        raise ValueError(f"the model does not know '{expression}', only "
                         f'{classes}')
    samples = packed_samples(cfg, images, count)
    heats, scores = [], []
    target = None if expression is None else classes.index(expression)
    for _, (heat, logits) in predict_dataset(
            model, samples, lambda data: grad_cam(model, layer, data['inputs'],
                                                  target, method)):
        heats.extend(heat)
        scores.extend(logits.softmax(1))

    def cells():
        for sample, heat, score in zip(samples, heats, scores):
            face, *words = prediction_of(sample, score, classes)
            yield (face, *words)
            if target is not None:  # what the map is of
                words = [expression, expression, float(score[target])]
            yield (overlay_heat(face, heat), *words)

    draw_prediction_grid(cells(), out)
