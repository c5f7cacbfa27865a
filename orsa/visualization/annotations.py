# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import cv2
import numpy as np

from orsa.utils.face_regions import FACE_PALETTE
from .figures import ORANGE, SKY_BLUE


def draw_annotations(image: np.ndarray,
                     keypoints: Optional[np.ndarray] = None,
                     visible: Optional[np.ndarray] = None,
                     seg_map: Optional[np.ndarray] = None,
                     visible_mask: Optional[np.ndarray] = None,
                     palette: Sequence[Sequence[int]] = FACE_PALETTE,
                     size: int = 192) -> np.ndarray:
    """Draw the annotations of a sample into its image.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        keypoints (np.ndarray, optional): (K, 2), x and y in pixels; blue
            dots, orange where they are occluded. Defaults to None.
        visible (np.ndarray, optional): (K, ), above 0 where one is visible.
            Defaults to None, all are.
        seg_map (np.ndarray, optional): (H, W), the class of each pixel; 0 and
            what has no colour stay as they are. Defaults to None.
        visible_mask (np.ndarray, optional): (H, W), 0 where the face is
            occluded, which gets an orange outline. Defaults to None.
        palette (Sequence): RGB of each class. Defaults to LaPa's.
        size (int): Of the longer side of the result. Defaults to 192.

    Returns:
        np.ndarray: BGR uint8.

    Raises:
        ValueError: If a map is of another size than the image.
    """
    for name, mask in (('seg_map', seg_map), ('visible_mask', visible_mask)):
        if mask is not None and mask.shape != image.shape[:2]:
            raise ValueError(f'{name} is {mask.shape}, the image '
                             f'{image.shape[:2]}: a transform moved one alone')
    scale = size / max(image.shape[:2])
    shape = tuple(max(1, round(scale * n)) for n in image.shape[1::-1])
    drawn = cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR)
    if seg_map is not None:
        mask = cv2.resize(
            seg_map.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST)
        colours = np.zeros((256, 3), np.float32)
        colours[:len(palette)] = np.asarray(palette)[:256, ::-1]
        coloured = (mask > 0) & (mask < len(palette))
        alpha = np.where(coloured, .5, 0.)[..., None]
        drawn = drawn * (1 - alpha) + colours[mask] * alpha
        drawn = drawn.round().astype(np.uint8)
    if visible_mask is not None:
        occluded = cv2.resize(
            (visible_mask == 0).astype(np.uint8),
            shape,
            interpolation=cv2.INTER_NEAREST)
        outline, _ = cv2.findContours(occluded, cv2.RETR_EXTERNAL,
                                      cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outline, -1, ORANGE, 1)
    if keypoints is not None:
        if visible is None:
            visible = np.ones(len(keypoints))
        radius = 1 if size < 160 else 2
        # the centre of the first pixel is 0
        places = (np.asarray(keypoints) + .5) * scale - .5
        for (x, y), one in zip(places, visible):
            cv2.circle(drawn, (round(float(x)), round(float(y))), radius,
                       SKY_BLUE if one > 0 else ORANGE, -1, cv2.LINE_AA)
    return drawn


def overlay_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map over an image, in colours that all readers tell apart.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        heat (np.ndarray): (H, W), in [0, 1].
    """
    colours = cv2.applyColorMap((heat * 255).round().astype(np.uint8),
                                cv2.COLORMAP_CIVIDIS)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    return (.45 * grey + .55 * colours).round().astype(np.uint8)
