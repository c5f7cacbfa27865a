# Copyright (c) orsa contributors. All rights reserved.
"""What ``orsa predict`` does: pictures in, drawings and JSON lines out."""
import contextlib
import dataclasses
import io
import json
import os
import os.path as osp
import shutil
from collections import Counter
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
from PIL import Image, PngImagePlugin

from orsa.engine.folder_lock import unshared_folder
from orsa.faces.pictures import shown_name, stem_of
from orsa.faces.results import ImageResult
from orsa.utils.fileio import atomic_path, check_writable, dump_json, load_json
from orsa.utils.own_files import MARK, RESULTS
from .inferencer import FERInferencer


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

    def add(self, later: 'PredictSummary') -> None:
        """Count in what became of more pictures."""
        for field in dataclasses.fields(self)[:-1]:
            both = getattr(self, field.name) + getattr(later, field.name)
            setattr(self, field.name, both)
        self.interrupted = later.interrupted


class Names:
    """Names of files for pictures, of which several may be called alike.

    Args:
        folder (str, optional): Where the files will be. What is there is not
            replaced. Defaults to None.
    """

    def __init__(self, folder: Optional[str] = None):
        self._seen = Counter()
        there = os.listdir(folder) if folder and osp.isdir(folder) else ()
        self._taken = {
            name.rpartition('_face')[0]
            for name in there if '_face' in name
        }

    def of(self, picture: str) -> str:
        """The picture's own without suffix, with a number if it is taken."""
        stem = stem_of(picture) or 'picture'
        name = stem
        while self._seen[name] or name in self._taken:
            self._seen[stem] = max(self._seen[stem], 1) + 1
            name = f'{stem}_{self._seen[stem]}'
        self._seen[name] += 1
        return name


def write_picture(image: np.ndarray, path: str) -> None:
    """Write a drawing, whole or not at all, marked as one of orsa's.

    Args:
        image (np.ndarray): (H, W, 3) BGR or (H, W), uint8.
        path (str): The file, .jpg or .png.

    Raises:
        OSError: If it cannot be written.
    """
    picture = Image.fromarray(image if image.ndim == 2 else image[..., ::-1])
    data = io.BytesIO()
    if path.endswith('.png'):
        marked = PngImagePlugin.PngInfo()
        marked.add_text('Software', MARK)
        picture.save(data, 'PNG', pnginfo=marked)
    else:
        picture.save(data, 'JPEG', quality=92, comment=MARK)
    with atomic_path(path) as temporary:
        with open(temporary, 'wb') as file:
            file.write(data.getvalue())


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
        out_dir (str): Where to write. A run adds to what an earlier one of
            the same model has left there: lines to ``predictions.jsonl``,
            counts to ``summary.json``; where the name of a drawing is taken,
            it gets a number.
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
        FileExistsError: If ``out_dir`` holds results that these cannot be
            added to, of another model or damaged.
        BlockingIOError: If another run writes there.
        OSError: If something cannot be written.
    """
    check_writable(out_dir)
    how = dict(
        classes=list(inferencer.classes),
        calibration=dataclasses.asdict(inferencer.calibration))
    summary = PredictSummary()
    with contextlib.ExitStack() as stack:
        stack.enter_context(unshared_folder(out_dir))
        total, names = _earlier(out_dir, how), Names(out_dir)
        final = osp.join(out_dir, RESULTS[0])
        path = stack.enter_context(atomic_path(final))
        # what is no UTF-8 in a name is escaped, as JSON has it
        lines = stack.enter_context(
            open(path, 'w', encoding='utf-8', errors='backslashreplace'))
        if osp.isfile(final):
            with open(final, encoding='utf-8', errors='replace') as before:
                shutil.copyfileobj(before, lines)
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
        total.add(summary)
        dump_json(
            dict(dataclasses.asdict(total), **how),
            osp.join(out_dir, RESULTS[1]))
    return summary


def _earlier(out_dir: str, how: dict) -> PredictSummary:
    """The summary of what is in a folder, to which a run may add.

    Raises:
        FileExistsError: If it may not.
    """
    there = [n for n in RESULTS if osp.exists(osp.join(out_dir, n))]
    if not there:
        return PredictSummary()
    try:
        content = load_json(osp.join(out_dir, RESULTS[1]))
        before = {k: content.pop(k) for k in how}
        same = before == json.loads(json.dumps(how))
        earlier = PredictSummary(**content)
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        earlier, same = None, False
    if not same or len(there) < len(RESULTS):
        what = 'of another model or calibration' if earlier else 'damaged'
        raise FileExistsError(
            f"'{out_dir}' has results that are {what}: name another folder "
            'by --out, or remove it')
    return earlier


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
