# Copyright (c) orsa contributors. All rights reserved.
"""The images of a test under occlusion as files, for any framework."""
import hashlib
import os
import os.path as osp
import time
from collections import Counter
from typing import Sequence, Tuple

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from orsa.datasets.images import check_inside
from orsa.datasets.text_files import read_columns
from orsa.utils.configs import config_hash
from orsa.utils.fileio import (atomic_path, check_writable, dump_json,
                               file_hash, load_json)
from orsa.utils.tables import Table
from orsa.version import __version__
from .occlusion_conditions import Condition, conditions_of, landmarks_of
from .occlusion_faces import SuiteFaces, example_hash
from .occlusion_metrics import protocol
from .study import log

MANIFEST = 'manifest.csv'
COLUMNS = ('file', 'name', 'class', 'kind', 'severity', 'ratio', 'sha256')
PIXELS = 'SHA-256 of the decoded uint8 RGB array (height, width, 3)'


class _Images(Dataset):
    """Writes an image when it is asked for, and gives its manifest's row.

    An index is (condition, number of the face).
    """

    def __init__(self, faces: SuiteFaces, out: str):
        self.faces, self.out = faces, out

    def __getitem__(self, index: Tuple[Condition, int]) -> list:
        condition, face = index
        image, ratio = self.faces.sample(condition, face)
        name = self.faces.names[face]
        file = f'{str(condition).replace(" ", "/")}/{name}.png'
        with atomic_path(osp.join(self.out, file)) as temporary:
            if not cv2.imwrite(temporary, image):
                raise OSError(f"cannot write '{temporary}'")
        pixels = np.ascontiguousarray(image[..., ::-1])
        return [
            file, name, self.faces.classes[self.faces.labels[face]],
            *condition,
            float(ratio),
            hashlib.sha256(pixels).hexdigest()
        ]


def write_images(faces: SuiteFaces,
                 kinds: Sequence[str],
                 severities: Sequence[int],
                 out: str,
                 workers: int = 0) -> str:
    """Write the images that a suite gives to a model's own pipeline.

    They are PNG of the data's resolution, ``clean/NAME.png`` and
    ``KIND/SEVERITY/NAME.png``. ``manifest.json``, the parameters, is written
    first and ``manifest.csv``, a row of :data:`COLUMNS` an image, last. A run
    that was stopped goes on after the last complete condition.

    Args:
        faces (SuiteFaces): The faces.
        kinds (Sequence[str]): Of occluders.
        severities (Sequence[int]): Of 1 to 5; empty for clean faces alone.
        out (str): The folder.
        workers (int): Processes that make the images; 0 makes them in this
            one. Defaults to 0.

    Returns:
        str: The path of ``manifest.csv``.

    Raises:
        ValueError: If faces share a name, or the folder has other images.
    """
    conditions = conditions_of(kinds, severities)
    _check_names(faces.names, out)
    check_writable(out)
    _check_folder(_parameters(faces, kinds, severities), out)
    manifest = osp.join(out, MANIFEST)
    if osp.isfile(manifest):
        log(f"'{manifest}' is there: all images are written")
        return manifest
    part, rows = osp.join(out, 'manifest.part.csv'), []
    if osp.isfile(part):
        rows = [row for _, row in read_columns(part, COLUMNS)]
    done = len(rows) // len(faces)
    log(f'{done} of {len(conditions)} conditions of {len(faces)} faces are '
        'written')
    if workers:
        cv2.setNumThreads(0)  # its threads do not survive a fork
    for number, condition in enumerate(conditions[done:], done + 1):
        begin = time.time()
        rows += DataLoader(
            _Images(faces, out),
            batch_size=None,
            sampler=[(condition, i) for i in range(len(faces))],
            num_workers=workers)
        Table(COLUMNS, rows).write_csv(part)
        log(f'{number}/{len(conditions)} {condition}: '
            f'{time.time() - begin:.1f} s')
    os.replace(part, manifest)
    return manifest


def _check_names(names: Sequence[str], out: str) -> None:
    (name, count), = Counter(names).most_common(1)
    if count > 1:
        raise ValueError(f"{count} faces are called '{name}' and would be one "
                         'file. Give each a name of its own in the dataset')
    for name in names:
        check_inside(name, out, 'the names of the faces')


def _parameters(faces: SuiteFaces, kinds: Sequence[str],
                severities: Sequence[int]) -> dict:
    """What the images depend on, the same on every machine."""
    dataset = faces.describe(len(faces))
    del dataset['data_root']
    lists = {}
    for title, path in faces.lists.items():
        names, types = faces.read_list(title)
        lists[title] = dict(
            file=osp.basename(osp.normpath(path)), names=names, types=types)
    drawings = [
        example_hash(c, faces.seed) for c in conditions_of(kinds, severities)
    ]
    landmarks = landmarks_of(faces.data_cfg)
    return dict(
        orsa=__version__,
        dataset=dataset,
        classes=faces.classes,
        faces_sha256=config_hash([faces.names,
                                  faces.labels.tolist()]),
        occluders_sha256=config_hash(drawings),
        landmarks_sha256=landmarks and file_hash(landmarks),
        sha256=PIXELS,
        **protocol(faces.seed, kinds, severities),
        lists=lists)


def _check_folder(parameters: dict, out: str) -> None:
    """Write ``manifest.json``, or refuse a folder that has another one."""
    path = osp.join(out, 'manifest.json')
    before = load_json(path) if osp.isfile(path) else parameters
    other = [k for k, v in parameters.items() if before.get(k) != v]
    if other:
        raise ValueError(f"'{path}' is of images with another "
                         f'{", ".join(other)}. Name another folder (--out)')
    dump_json(parameters, path)
