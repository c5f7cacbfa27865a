# Copyright (c) orsa contributors. All rights reserved.
"""What ``orsa predict`` does: pictures in, drawings and JSON lines out."""
import contextlib
import dataclasses
import json
import os.path as osp
from collections import Counter
from typing import Callable, Dict, List, Optional, Sequence

import cv2
import numpy as np

from orsa.utils.fileio import atomic_path, check_writable, dump_json
from .inferencer import FERInferencer
from .pictures import shown_name, stem_of
from .results import ImageResult


@dataclasses.dataclass
class PredictSummary:
    """What became of pictures.

    Attributes:
        pictures (int): How many were looked at.
        faces (int): How many faces are in them.
        abstained (int): Of these, those of which nothing was said.
        without_faces (list[str]): Pictures in which none was found.
        errors (list[dict[str, str]]): ``picture`` and ``error`` of what could
            not be read.
        notes (list[dict[str, str]]): ``picture`` and ``note``, what was wrong
            with a file that was read nevertheless.
        interrupted (bool): Whether it was stopped by Ctrl-C.
    """
    pictures: int = 0
    faces: int = 0
    abstained: int = 0
    without_faces: List[str] = dataclasses.field(default_factory=list)
    errors: List[Dict[str, str]] = dataclasses.field(default_factory=list)
    notes: List[Dict[str, str]] = dataclasses.field(default_factory=list)
    interrupted: bool = False


class Names:
    """Names of files for pictures, of which several may be called alike."""

    def __init__(self):
        self._seen = Counter()

    def of(self, picture: str) -> str:
        """The picture's own without suffix, with a number if it is taken."""
        stem = stem_of(picture) or 'picture'
        name = stem
        while self._seen[name]:
            self._seen[stem] += 1
            name = f'{stem}_{self._seen[stem]}'
        self._seen[name] += 1
        return name


def write_picture(image: np.ndarray, path: str) -> None:
    """Write a picture (H, W, 3), BGR uint8, whole or not at all.

    Raises:
        OSError: If OpenCV cannot write it.
    """
    options, suffix = [], osp.splitext(path)[1].lower()
    if suffix in ('.jpg', '.jpeg'):
        options = [cv2.IMWRITE_JPEG_QUALITY, 92]
    # by its bytes: OpenCV takes no path that is not UTF-8
    good, data = cv2.imencode(suffix, image, options)
    if not good:
        raise OSError(f"OpenCV cannot write '{path}'")
    with atomic_path(path) as temporary:
        with open(temporary, 'wb') as file:
            file.write(data)


def predict_to_files(
    inferencer: FERInferencer,
    inputs: Sequence[str],
    out_dir: str,
    aligned: bool = False,
    batch_size: int = 32,
    pictures: bool = True,
    cards: bool = False,
    masks: bool = False,
    draw: Optional[dict] = None,
    report: Optional[Callable[[ImageResult, List[str]], None]] = None
) -> PredictSummary:
    """Look at pictures and write what was found.

    ``predictions.jsonl`` has a line for each face, ``summary.json`` what
    could not be read and how the scores were made, ``NAME_faces.jpg`` shows
    the faces in their picture.

    Args:
        inferencer (FERInferencer): What looks.
        inputs (Sequence[str]): Files, folders and patterns.
        out_dir (str): Where to write. What was there before under these
            names is replaced.
        aligned (bool): Whether each picture is an aligned face.
            Defaults to False.
        batch_size (int): Faces at a time. Defaults to 32.
        pictures (bool): Whether to write the drawings. Defaults to True.
        cards (bool): Whether to write ``NAME_faceK.png``, a face with its
            landmarks, parsing map and scores. Defaults to False.
        masks (bool): Whether to write ``NAME_faceK_parsing.png``, the class
            of each pixel of the aligned face. Defaults to False.
        draw (dict, optional): Of :func:`orsa.visualization.draw_faces`.
            Defaults to None.
        report (Callable, optional): Is given each result and the files that
            were written for it. Defaults to None.

    Returns:
        PredictSummary: What was done, and what failed.

    Raises:
        OSError: If something cannot be written.
    """
    check_writable(out_dir)
    summary, names = PredictSummary(), Names()
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(
            atomic_path(osp.join(out_dir, 'predictions.jsonl')))
        # what is no UTF-8 in a name is escaped, as JSON has it
        lines = stack.enter_context(
            open(path, 'w', encoding='utf-8', errors='backslashreplace'))
        try:
            for result in inferencer.stream(inputs, batch_size, aligned):
                name = names.of(result.name)
                files = _draw(result, name, out_dir, pictures, cards, masks,
                              draw or {})
                _note(result, files, summary, lines)
                if report is not None:
                    report(result, files)
        except KeyboardInterrupt:
            summary.interrupted = True
    dump_json(
        dict(
            dataclasses.asdict(summary),
            classes=list(inferencer.classes),
            calibration=dataclasses.asdict(inferencer.calibration)),
        osp.join(out_dir, 'summary.json'))
    return summary


def _note(result: ImageResult, files: List[str], summary: PredictSummary,
          lines) -> None:
    summary.pictures += 1
    if result.error:
        summary.errors.append(dict(picture=result.name, error=result.error))
        return
    summary.notes += [
        dict(picture=result.name, note=note) for note in result.notes
    ]
    if not result.faces:
        summary.without_faces.append(result.name)
    summary.faces += len(result.faces)
    summary.abstained += sum(face.abstain for face in result.faces)
    for row in result.to_dicts():
        row['files'] = [osp.basename(f) for f in files]
        lines.write(json.dumps(row, ensure_ascii=False) + '\n')


def _draw(result: ImageResult, name: str, out_dir: str, pictures: bool,
          cards: bool, masks: bool, draw: dict) -> List[str]:
    """Write the drawings of a picture, and return their paths."""
    if result.error or result.image is None:
        return []
    files = []
    if pictures:
        from orsa.visualization import draw_faces
        files.append(osp.join(out_dir, f'{name}_faces.jpg'))
        write_picture(
            draw_faces(result.image, result.faces, **draw), files[-1])
    for k, face in enumerate(result.faces):
        if cards:
            files.append(osp.join(out_dir, f'{name}_face{k}.png'))
            draw_card(result, k, files[-1])
        if masks and face.parsing is not None:
            files.append(osp.join(out_dir, f'{name}_face{k}_parsing.png'))
            write_picture(face.parsing, files[-1])
    return files


def draw_card(result: ImageResult, k: int, path: str) -> None:
    """Draw the card of a face, see :func:`orsa.visualization.draw_face_card`.

    Args:
        result (ImageResult): The picture.
        k (int): The face.
        path (str): The PNG to write.
    """
    from orsa.visualization import draw_face_card
    face = result.faces[k]
    said = face.expression
    if face.abstain:
        said = f"abstains ({', '.join(face.reasons)}); {said}"
    if face.covered is not None:
        said += f', {face.covered:.0%} covered'
    draw_face_card(
        face.crop,
        face.scores,
        path,
        face.parsing,
        face.crop_landmarks,
        title=f'{shown_name(result.name)}, face {k + 1} of '
        f'{len(result.faces)}: {said}')
