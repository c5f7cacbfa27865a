# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Sequence

import cv2
import numpy as np

from orsa.utils.face_regions import LAPA_PALETTE

# BGR; blue is seen, orange is hidden
_SEEN, _HIDDEN = (233, 180, 86), (0, 94, 213)


def draw_annotations(image: np.ndarray,
                     keypoints: Optional[np.ndarray] = None,
                     visible: Optional[np.ndarray] = None,
                     seg_map: Optional[np.ndarray] = None,
                     visible_mask: Optional[np.ndarray] = None,
                     palette: Sequence[Sequence[int]] = LAPA_PALETTE,
                     size: int = 192) -> np.ndarray:
    """Draw what a sample says of its picture into it.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        keypoints (np.ndarray, optional): (K, 2), x and y in pixels; blue
            dots, orange where they are hidden. Defaults to None.
        visible (np.ndarray, optional): (K, ), above 0 where one is seen.
            Defaults to None, all are.
        seg_map (np.ndarray, optional): (H, W), the class of each pixel; 0 and
            what has no colour stay as they are. Defaults to None.
        visible_mask (np.ndarray, optional): (H, W), 0 where something covers,
            which gets an orange outline. Defaults to None.
        palette (Sequence): RGB of each class. Defaults to LaPa's.
        size (int): Of the longer side of the result. Defaults to 192.

    Returns:
        np.ndarray: BGR uint8.

    Raises:
        ValueError: If a map is of another size than the picture.
    """
    for name, mask in (('seg_map', seg_map), ('visible_mask', visible_mask)):
        if mask is not None and mask.shape != image.shape[:2]:
            raise ValueError(f'{name} is {mask.shape}, the picture '
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
        share = np.where(coloured, .5, 0.)[..., None]
        drawn = drawn * (1 - share) + colours[mask] * share
        drawn = drawn.round().astype(np.uint8)
    if visible_mask is not None:
        cover = cv2.resize(
            (visible_mask == 0).astype(np.uint8),
            shape,
            interpolation=cv2.INTER_NEAREST)
        outline, _ = cv2.findContours(cover, cv2.RETR_EXTERNAL,
                                      cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outline, -1, _HIDDEN, 1)
    if keypoints is not None:
        seen = np.ones(len(keypoints)) if visible is None else visible
        radius = 1 if size < 160 else 2
        # the centre of the first pixel is 0
        places = (np.asarray(keypoints) + .5) * scale - .5
        for (x, y), one in zip(places, seen):
            cv2.circle(drawn, (round(float(x)), round(float(y))), radius,
                       _SEEN if one > 0 else _HIDDEN, -1, cv2.LINE_AA)
    return drawn
