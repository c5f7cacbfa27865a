# Copyright (c) orsa contributors. All rights reserved.
"""The faces of an image or a frame of a video, with boxes and labels."""
import functools
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .annotations import draw_annotations
from .figures import AMBER, BLUE

# RGB: box and label, and the letters on it; unsure ones are dashed as well
_SURE = (BLUE[::-1], (255, 255, 255))
_UNSURE = (AMBER[::-1], (0, 0, 0))
_SMALLEST_FONT = 12
_MAX_SIDE = 2048

Rect = Tuple[int, int, int, int]


def label_of(face: Any, number: Optional[int] = None) -> str:
    """The label of a face, as :class:`orsa.apis.FaceResult` has it.

    Such as 'happiness 87%', 'eyes only: happiness 57%', 'unsure: sadness 31%'
    or '62% occluded: sadness 31%'; its number in front, a track's or the one
    given.
    """
    label = f'{face.expression} {face.confidence:.0%}'
    if face.abstain:
        occluded = any('visible' in reason for reason in face.reasons)
        reason = f'{face.covered:.0%} occluded' if occluded else 'unsure'
        label = f'{reason}: {label}'
    elif face.part:
        label = f'{face.part}: {label}'
    number = face.track or number
    return f'#{number} {label}' if number else label


def draw_faces(image: np.ndarray,
               faces: Sequence[Any],
               landmarks: bool = True,
               parsing: bool = False,
               min_side: int = 640) -> np.ndarray:
    """Draw the faces of an image into it, each with its label.

    A box is blue and closed where the model is sure, orange and dashed where
    it abstains. Labels and marks are as large as their face allows, labels
    overlap neither each other nor, if possible, a face; one for which there
    is no place is left out.

    Args:
        image (np.ndarray): (H, W, 3), BGR uint8.
        faces (Sequence): :class:`orsa.apis.FaceResult`, or what has its
            attributes.
        landmarks (bool): Whether to draw them on faces that are large enough,
            80 pixels in the drawing. Defaults to True.
        parsing (bool): Whether to colour the face regions.
            Defaults to False.
        min_side (int): An image whose longer side is less is made larger, so
            that labels can be read. Defaults to 640. One of more than 2048
            pixels is made smaller.

    Returns:
        np.ndarray: BGR uint8.
    """
    longer = max(image.shape[:2])
    scale = min(max(1., min_side / longer), _MAX_SIDE / longer)
    shape = tuple(max(1, round(scale * n)) for n in image.shape[1::-1])
    drawn = cv2.resize(
        image,
        shape,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if parsing:
        drawn = _with_parsing(drawn, faces, scale)
    boxes = [_rect(face.box, scale, drawn.shape) for face in faces]
    width = max(2, round(max(drawn.shape[:2]) / 400))
    for face, box in zip(faces, boxes):
        side = box[2] - box[0]
        # on a smaller face the dots would hide it
        if landmarks and face.landmarks is not None and side >= 80:
            _dots(drawn, face.landmarks, scale, box, width)
        _frame(drawn, box, _UNSURE[0] if face.abstain else _SURE[0],
               min(width, max(1, round(side / 40))), face.abstain)
    _label(drawn, faces, boxes, width)
    return drawn


def _rect(box: Sequence[float], scale: float, shape: Tuple) -> Rect:
    """A box in the drawing, no more than its own margin outside."""
    limits = np.maximum(np.subtract(shape[1::-1] * 2, (2, 2, 1, 1)), 0)
    x0, y0, x1, y1 = (int(np.clip(round(v * scale), 0, limit))
                      for v, limit in zip(box, limits))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _with_parsing(image: np.ndarray, faces: Sequence[Any],
                  scale: float) -> np.ndarray:
    # from pixels of the drawing, whose centres are at whole numbers
    shift = .5 / scale - .5
    unscale = np.array([[1 / scale, 0, shift], [0, 1 / scale, shift],
                        [0, 0, 1]])
    seg_map = np.zeros(image.shape[:2], np.uint8)
    for face in faces:
        if face.parsing is not None:
            here = cv2.warpAffine(
                face.parsing,
                face.matrix @ unscale,
                image.shape[1::-1],
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
            seg_map = np.where(here > 0, here, seg_map)
    return draw_annotations(image, seg_map=seg_map, size=max(image.shape[:2]))


def _dots(image: np.ndarray, points: np.ndarray, scale: float, box: Rect,
          width: int) -> None:
    radius = max(1, min(round((box[2] - box[0]) / 150), width))
    for x, y in (points[:, :2] + .5) * scale - .5:
        at = (round(float(x)), round(float(y)))
        cv2.circle(image, at, radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(image, at, radius, (255, 255, 255), -1, cv2.LINE_AA)


def _frame(image: np.ndarray, box: Rect, rgb: Tuple, width: int,
           dashed: bool) -> None:
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    lines = list(zip(corners, corners[1:]))
    if dashed:
        lines = [dash for line in lines for dash in _dashes(*line, 6 * width)]
    # a dark edge, for images in the colour of the box
    for colour, thickness in (((0, 0, 0), width + 2), (rgb[::-1], width)):
        for start, end in lines:
            cv2.line(image, start, end, colour, thickness)


def _dashes(start: Tuple[int, int], end: Tuple[int, int],
            length: int) -> List[Tuple]:
    count = max(1, round(np.hypot(*np.subtract(end, start)) / length / 2))
    at = np.linspace(start, end, 2 * count + 1).round().astype(int).tolist()
    return [(at[i], at[i + 1]) for i in range(0, 2 * count, 2)]


def _label(image: np.ndarray, faces: Sequence[Any], boxes: Sequence[Rect],
           width: int) -> None:
    usual = max(15, round(max(image.shape[:2]) / 50))
    taken: List[Rect] = []
    # as in the tables, where there is more than one
    numbers = range(1, len(faces) + 1) if len(faces) > 1 else (None, )
    # the largest first: it is what the image shows
    order = sorted(range(len(faces)), key=lambda i: -_area(boxes[i]))
    for i in order:
        colours = _UNSURE if faces[i].abstain else _SURE
        own = round((boxes[i][2] - boxes[i][0]) / 8)
        sizes = np.clip((own, _SMALLEST_FONT), _SMALLEST_FONT, usual)
        label = label_of(faces[i], numbers[i])
        variants = [(label, size) for size in dict.fromkeys(sizes.tolist())]
        if label.startswith('#'):
            # the number alone, rather than nothing
            variants.append((label.split()[0], _SMALLEST_FONT))
        chosen = _choose(image.shape, variants, colours, boxes[i], boxes,
                         taken, width)
        if chosen is not None:
            (x0, y0, x1, y1), patch = chosen
            image[y0:y1, x0:x1] = patch
            taken.append(chosen[0])


def _choose(shape: Tuple, variants: Sequence[tuple], colours: Tuple, box: Rect,
            boxes: Sequence[Rect], taken: Sequence[Rect],
            width: int) -> Optional[Tuple[Rect, np.ndarray]]:
    """Place and image of a label: of the first text that has a place, in the
    size that hides least."""
    found: List[tuple] = []
    for text, size in variants:
        if found and text != variants[0][0]:
            break
        patch = _text(text, size, *colours)
        place = _place(shape, patch.shape, box, boxes, taken, width)
        if place is not None:
            # a tenth of the face is not worth small letters
            hidden = max(_hidden(place, boxes) - 0.1 * _area(box), 0)
            found.append((hidden, len(found), place, patch))
    return min(found, key=lambda f: f[:2])[2:] if found else None


def _place(shape: Tuple, patch: Tuple, box: Rect, boxes: Sequence[Rect],
           taken: Sequence[Rect], width: int) -> Optional[Rect]:
    """Where a label overlaps faces least, and no other label."""
    height, length = patch[:2]
    x0, y0, x1, y1 = box
    gap = width // 2 + 1
    if height > shape[0] or length > shape[1]:
        return None
    rows = (y0 - height - gap, y1 + gap, y0 + gap, y1 - height - gap)
    columns = (x0 - gap + 1, x1 - length + gap, (x0 + x1 - length) // 2)
    places = [(x, y, x + length, y + height) for y in rows
              if 0 <= y <= shape[0] - height
              for x in np.clip(columns, 0, shape[1] - length).tolist()]
    free = [p for p in places if not any(_common(p, t) for t in taken)]
    # the first of equal ones
    return min(free, key=lambda p: _hidden(p, boxes), default=None)


def _hidden(place: Rect, boxes: Sequence[Rect]) -> int:
    """Pixels of faces that a label would hide."""
    return sum(_common(place, box) for box in boxes)


def _area(box: Rect) -> int:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def _common(one: Rect, other: Rect) -> int:
    return _area((max(one[0], other[0]), max(one[1], other[1]),
                  min(one[2], other[2]), min(one[3], other[3])))


@functools.lru_cache(maxsize=256)
def _text(text: str, size: int, paper: Tuple, ink: Tuple) -> np.ndarray:
    """A line of text as an image (h, w, 3), BGR uint8."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    pad = max(3, size // 4)
    patch = Image.new('RGB', (right - left + 2 * pad, ascent + descent + pad),
                      paper)
    ImageDraw.Draw(patch).text((pad - left, pad // 2), text, ink, font)
    return np.ascontiguousarray(np.asarray(patch)[..., ::-1])
