# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def grad_cam(
    model: nn.Module,
    layer: Optional[str],
    inputs: torch.Tensor,
    classes: Union[int, Sequence[int], None] = None
) -> Tuple[np.ndarray, torch.Tensor]:
    """Where a classifier looks, by the gradients of a map.

    `Grad-CAM <https://arxiv.org/abs/1610.02391>`_: the channels of a map, each
    weighted by the mean gradient of the class in it; what speaks against the
    class is left out.

    Args:
        model (nn.Module): Gives logits (B, C) in mode 'tensor'.
        layer (str, optional): The module whose output is the map,
            (B, D, h, w) or a tuple that ends with it, e.g. 'backbone'. None
            is the image encoder of :class:`orsa.models.ORSANet`, else the
            backbone.
        inputs (Tensor): (B, 3, H, W), preprocessed.
        classes (int | Sequence[int], optional): The target class, of all
            images or of each. Defaults to None, the predicted ones.

    Returns:
        tuple[np.ndarray, Tensor]: (B, H, W), of each image in [0, 1], all 0
        where nothing speaks for the class; and the logits (B, C).

    Raises:
        ValueError: If there is no such module, its output is no map, or it
            gets no gradients, as of a frozen prior.
    """
    if layer is None:
        layer = 'backbone'
        layer += '.image_encoder' * hasattr(model.backbone, 'image_encoder')
    module = dict(model.named_modules()).get(layer)
    if module is None:
        raise ValueError(f"the model has no module '{layer}', at its top are "
                         f'{[name for name, _ in model.named_children()]}')
    kept = []
    handle = module.register_forward_hook(
        lambda _, __, output: kept.append(output))
    try:
        with torch.enable_grad():
            logits = model(inputs, mode='tensor')
    finally:
        handle.remove()
    feature = kept[-1] if kept else None
    while isinstance(feature, (tuple, list)):
        feature = feature[-1]
    if not isinstance(feature, torch.Tensor) or feature.ndim != 4:
        shape = getattr(feature, 'shape', None)
        raise ValueError(f"'{layer}' should give a map of 4 dimensions, but "
                         f'gave {None if shape is None else tuple(shape)}')
    if not feature.requires_grad:
        raise ValueError(f"'{layer}' gets no gradients, it is frozen: name a "
                         'part that is trained')
    chosen = logits.argmax(1) if classes is None else torch.as_tensor(
        classes, device=logits.device).expand(len(logits))
    with torch.enable_grad():
        score = logits.gather(1, chosen[:, None]).sum()
    gradient, = torch.autograd.grad(score, feature)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = F.relu((weights * feature).sum(1, keepdim=True)).detach()
    maps = F.interpolate(
        maps, inputs.shape[2:], mode='bilinear', align_corners=False)[:, 0]
    highest = maps.amax(dim=(1, 2), keepdim=True)
    maps = maps / highest.clamp(min=torch.finfo(maps.dtype).tiny)
    return maps.cpu().numpy(), logits.detach()


def overlay_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map over a picture, in colours that all readers tell apart.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        heat (np.ndarray): (H, W), in [0, 1].

    Returns:
        np.ndarray: (H, W, 3), BGR uint8.
    """
    colours = cv2.applyColorMap((heat * 255).round().astype(np.uint8),
                                cv2.COLORMAP_CIVIDIS)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    return (.45 * grey + .55 * colours).round().astype(np.uint8)
