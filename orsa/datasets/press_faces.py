# Copyright (c) orsa contributors. All rights reserved.
"""``press_faces``: real faces that anyone can rebuild from a public clone."""
import csv
import gzip
import json
import os
import os.path as osp
import re
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np

from orsa.utils.classes import RAFDB_CLASSES
from orsa.utils.face_regions import LAPA_CLASSES
from .annotations import check_points
from .images import read_image

ANNOTATIONS = Path(__file__).parents[1] / (
    'zoo/press_faces/annotations.json.gz')
SOURCE = 'https://github.com/muxspace/facial_expressions'
SIZE = 128
KEYS = ('name', 'source', 'expression', 'affine', 'landmarks68', 'parsing_rle')


def load_annotations(path: Optional[str] = None) -> List[dict]:
    """Load the annotations of ``press_faces``.

    Args:
        path (str, optional): A gzipped JSON list. Defaults to None, the file
            that is shipped.

    Returns:
        list[dict]: Per face ``name``, ``source`` (a file's name),
        ``expression``, ``affine`` (2 x 3, source to aligned pixels),
        ``landmarks68`` (68 x 2, pixels) and ``parsing_rle`` (pairs of class
        and length, row-major).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another kind.
    """
    path = osp.expanduser(str(path or ANNOTATIONS))
    if not osp.isfile(path):
        raise FileNotFoundError(f"there are no annotations at '{path}'")
    try:
        with gzip.open(path) as f:
            faces = json.load(f)
        for face in faces:
            _check_face(face)
    except (AttributeError, EOFError, KeyError, OSError, OverflowError,
            RecursionError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"'{path}' is no gzipped JSON list of faces, or is "
                         f'cut off: {str(error)[:200]}') from error
    return faces


def _check_face(face: dict) -> None:
    name, source, expression, affine, points, runs = (face[k] for k in KEYS)
    # they become paths: nothing may lead out of the folder
    if not re.fullmatch('(train|test)_[0-9]+', name):
        raise ValueError(f"bad name '{name[:100]}'")
    if osp.basename(source) != source or source in ('', '.',
                                                    '..') or ('\0' in source):
        raise ValueError(f"bad source '{source[:100]}'")
    if expression not in RAFDB_CLASSES:
        raise ValueError(f"unknown expression '{str(expression)[:100]}'")
    affine = np.array(affine, np.float64)
    if affine.shape != (2, 3) or not np.isfinite(affine).all():
        raise ValueError(f'affine is {affine}')
    check_points(points, 'landmarks68')
    decode_mask(runs)


def decode_mask(runs: Sequence, size: int = SIZE) -> np.ndarray:
    """Decode run lengths (class, pixels), row-major, to (size, size) uint8."""
    values, lengths = np.array(runs, dtype=np.int64).T
    # one by one too: a sum can come round
    within = ((0 <= lengths) & (lengths <= size * size)).all()
    if not within or lengths.sum() != size * size:
        raise ValueError(f'the runs are {lengths.sum()} pixels, not {size} x'
                         f' {size}, or some of them less than none')
    if not ((0 <= values) & (values < len(LAPA_CLASSES))).all():
        raise ValueError(f'the classes of the runs are {values.min()} to '
                         f'{values.max()}, expected 0 to '
                         f'{len(LAPA_CLASSES) - 1}')
    return np.repeat(values, lengths).astype(np.uint8).reshape(size, size)


def align(image: np.ndarray, affine: Sequence, size: int = SIZE) -> np.ndarray:
    """Warp an image to an aligned face with a black border.

    ``affine`` (2 x 3) maps source to aligned pixels.
    """
    affine = np.array(affine, dtype=np.float64)
    shrinks = abs(np.linalg.det(affine[:, :2])) < 1
    # OpenCV takes bilinear for area in a warp; requested as it was made
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.warpAffine(
        image, affine, (size, size), flags=flags, borderValue=(0, 0, 0))


def identity_of(source: str) -> str:
    """The subject of a press photograph, ``First_Last_0001.jpg``.

    A file that is not named so has one of its own.
    """
    match = re.fullmatch(r'(.+)_\d{4}\.\w+', source)
    return match.group(1) if match else source


def rebuild(clone: str,
            out: str,
            annotations: Optional[str] = None,
            skip_missing: bool = False) -> Dict[str, list]:
    """Rebuild ``press_faces`` in the layout of :class:`RAFDB`.

    Nothing stands at ``out`` before all of it is written.

    Args:
        clone (str): A clone of https://github.com/muxspace/facial_expressions,
            or its folder of images.
        out (str): A folder that does not exist yet.
        annotations (str, optional): As for :func:`load_annotations`.
        skip_missing (bool): Whether to leave out faces whose source image is
            missing or unreadable. Defaults to False.

    Returns:
        dict[str, list]: ``written``, the names of the faces, and ``missing``,
        the source images that were left out.

    Raises:
        FileExistsError: If ``out`` exists and is not empty.
        FileNotFoundError: If ``clone`` is no folder, or images are missing.
    """
    faces = load_annotations(annotations)
    clone, out = osp.expanduser(clone), osp.abspath(osp.expanduser(out))
    if not osp.isdir(clone):
        raise FileNotFoundError(f"there is no folder '{clone}': expected a "
                                f'clone of {SOURCE}')
    if osp.exists(out) and (not osp.isdir(out) or os.listdir(out)):
        raise FileExistsError(f"'{out}' exists already and is not empty")

    images = osp.join(clone, 'images')
    images = images if osp.isdir(images) else clone
    missing = [
        face['source'] for face in faces
        if read_image(osp.join(images, face['source']))[0] is None
    ]
    faces, total = [f for f in faces if f['source'] not in missing], len(faces)
    if missing and not (skip_missing and faces):
        raise FileNotFoundError(
            f'{len(missing)} of {total} source images are missing from '
            f"'{images}' or unreadable: {', '.join(missing[:10])}" + ', ...' *
            (len(missing) > 10) +
            f'. Clone {SOURCE} again, or skip them with --skip-missing')

    os.makedirs(osp.dirname(out), exist_ok=True)
    partial = tempfile.mkdtemp(prefix='.press_faces_', dir=osp.dirname(out))
    try:
        _write(faces, images, partial)
        os.chmod(partial, 0o755)  # mkdtemp's 0700 is for secrets
        os.replace(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return dict(written=[face['name'] for face in faces], missing=missing)


def _write(faces: List[dict], images: str, out: str) -> None:
    aligned = osp.join(out, 'basic/Image/aligned')
    parsing = osp.join(out, 'parsing')
    labels = osp.join(out, 'basic/EmoLabel')
    for folder in (aligned, parsing, labels):
        os.makedirs(folder)

    lines, rows = [], [('name', 'source_image', 'identity', 'expression')]
    for face in faces:
        name, source = face['name'], face['source']
        image = align(read_image(osp.join(images, source))[0], face['affine'])
        _save(osp.join(aligned, f'{name}_aligned.jpg'), image)
        _save(
            osp.join(parsing, f'{name}.png'), decode_mask(face['parsing_rle']))
        number = RAFDB_CLASSES.index(face['expression']) + 1
        lines.append(f'{name}.jpg {number}')
        rows.append((name, source, identity_of(source), face['expression']))

    points = {face['name']: face['landmarks68'] for face in faces}
    Path(labels, 'list_patition_label.txt').write_text(
        '\n'.join(lines) + '\n', encoding='utf-8')
    with open(
            osp.join(out, 'sources.csv'), 'w', encoding='utf-8',
            newline='') as f:
        csv.writer(f, lineterminator='\n').writerows(rows)
    with open(osp.join(out, 'landmarks68.json'), 'w', encoding='utf-8') as f:
        json.dump(points, f, separators=(',', ':'))


def _save(path: str, image: np.ndarray) -> None:
    # the quality that the set was made with
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88] if path.endswith('.jpg') else []
    if not cv2.imwrite(path, image, quality):
        raise OSError(f"cannot write '{path}'")
