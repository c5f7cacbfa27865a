# Copyright (c) orsa contributors. All rights reserved.
"""``orsa predict``: photographs in, drawings and JSON lines out."""
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

from orsa.engine.folder_lock import locked_folder
from orsa.faces.images import display_name, file_stem
from orsa.faces.results import ImageResult
from orsa.utils.fileio import atomic_path, check_writable, dump_json, load_json
from orsa.utils.own_files import MARK, RESULTS
from .inferencer import FERInferencer


@dataclasses.dataclass
class PredictSummary:
    """Counts of images, as ``summary.json`` has them.

    Attributes:
        pictures (int): How many images there were.
        faces (int): How many faces are in them.
        abstained (int): Of these, those for which the model abstained.
        without_faces (list[str]): Images in which none was found.
        errors (list[dict[str, str]]): ``picture`` and ``error`` of what could
            not be read.
        notes (list[dict[str, str]]): ``picture`` and ``note``, what was wrong
            with a file that was read nevertheless.
        too_small (int): How many faces were left out for their size.
        interrupted (bool): Whether it was stopped by Ctrl-C.
    """
    pictures: int = 0
    faces: int = 0
    abstained: int = 0
    too_small: int = 0
    without_faces: List[str] = dataclasses.field(default_factory=list)
    errors: List[Dict[str, str]] = dataclasses.field(default_factory=list)
    notes: List[Dict[str, str]] = dataclasses.field(default_factory=list)
    interrupted: bool = False

    def add(self, result: ImageResult) -> None:
        """Count an image."""
        name = result.name
        self.pictures += 1
        if result.error:
            self.errors.append(dict(picture=name, error=result.error))
            return
        self.notes += [dict(picture=name, note=note) for note in result.notes]
        if not result.faces:
            self.without_faces.append(name)
        self.faces += len(result.faces)
        self.too_small += result.too_small
        self.abstained += sum(face.abstain for face in result.faces)

    def after(self, earlier: 'PredictSummary') -> 'PredictSummary':
        """The sums with an earlier run, which this one has added to."""
        sums = {
            k: getattr(earlier, k) + v
            for k, v in vars(self).items() if k != 'interrupted'
        }
        return PredictSummary(**sums, interrupted=self.interrupted)


class Names:
    """Unique names of files for images, of which several may have one name.

    Args:
        folder (str, optional): Where the files will be. Existing ones are not
            replaced. Defaults to None.
    """

    def __init__(self, folder: Optional[str] = None):
        self._count = Counter()
        existing = os.listdir(folder) if folder and osp.isdir(folder) else ()
        self._taken = {
            name.rpartition('_face')[0]
            for name in existing if '_face' in name
        }

    def of(self, path: str) -> str:
        """The image's own name without suffix, with a number if taken."""
        stem = file_stem(path) or 'picture'
        name = stem
        while name in self._taken:
            self._count[stem] = max(self._count[stem], 1) + 1
            name = f'{stem}_{self._count[stem]}'
        self._taken.add(name)
        return name


def write_image(image: np.ndarray, path: str) -> None:
    """Write a drawing, completely or not at all, marked as one of orsa's.

    Args:
        image (np.ndarray): (H, W, 3) BGR or (H, W), uint8.
        path (str): The file, .jpg or .png.

    Raises:
        OSError: If it cannot be written.
    """
    image = Image.fromarray(image if image.ndim == 2 else image[..., ::-1])
    data = io.BytesIO()
    if path.endswith('.png'):
        info = PngImagePlugin.PngInfo()
        info.add_text('Software', MARK)
        image.save(data, 'PNG', pnginfo=info)
    else:
        image.save(data, 'JPEG', quality=92, comment=MARK)
    with atomic_path(path) as temporary:
        with open(temporary, 'wb') as file:
            file.write(data.getvalue())


def predict_to_files(
        inferencer: FERInferencer,
        inputs: Sequence[str],
        out_dir: str,
        aligned: bool = False,
        batch_size: int = 32,
        images: bool = True,
        cards: bool = False,
        masks: bool = False,
        draw: Optional[dict] = None,
        report: Optional[Callable[[ImageResult],
                                  None]] = None) -> PredictSummary:
    """Predict for images and write the results.

    ``predictions.jsonl`` has a line for each face, ``summary.json`` what
    could not be read and how the scores were made, ``NAME_faces.jpg`` shows
    the faces in their image.

    Args:
        inferencer (FERInferencer): The model.
        inputs (Sequence[str]): Files, folders and patterns.
        out_dir (str): Where to write. A run adds to the results of an earlier
            one of the same model: lines to ``predictions.jsonl``, counts to
            ``summary.json``; where the name of a drawing is taken, it gets a
            number.
        aligned (bool): Whether each image is an aligned face.
            Defaults to False.
        batch_size (int): Faces at a time. Defaults to 32.
        images (bool): Whether to write the drawings. Defaults to True.
        cards (bool): Whether to write ``NAME_faceK.png``, a face with its
            landmarks, parsing map and scores. Defaults to False.
        masks (bool): Whether to write ``NAME_faceK_parsing.png``, the class
            of each pixel of the aligned face. Defaults to False.
        draw (dict, optional): Of :func:`orsa.visualization.draw_faces`.
            Defaults to None.
        report (Callable, optional): Is called with each result.
            Defaults to None.

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
    lines_file, summary_file = (osp.join(out_dir, name) for name in RESULTS)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked_folder(out_dir, 0, '--out'))
        earlier, names = _read_earlier(out_dir, how), Names(out_dir)
        path = stack.enter_context(atomic_path(lines_file))
        # what is no UTF-8 in a name is escaped, as JSON has it
        lines = stack.enter_context(
            open(path, 'w', encoding='utf-8', errors='backslashreplace'))
        if osp.isfile(lines_file):
            with open(lines_file, encoding='utf-8', errors='replace') as file:
                shutil.copyfileobj(file, lines)
        try:
            for result in inferencer.stream(inputs, batch_size, aligned):
                name = names.of(result.name)
                files = _draw(result, osp.join(out_dir, name), images, cards,
                              masks, draw or {})
                summary.add(result)
                for row in result.to_dicts():
                    row['files'] = [osp.basename(file) for file in files]
                    lines.write(json.dumps(row, ensure_ascii=False) + '\n')
                if report is not None:
                    report(result)
        except KeyboardInterrupt:
            summary.interrupted = True
        dump_json(dict(vars(summary.after(earlier)), **how), summary_file)
    return summary


def _read_earlier(out_dir: str, how: dict) -> PredictSummary:
    """The summary of the results in a folder, to which a run may add."""
    existing = [n for n in RESULTS if osp.exists(osp.join(out_dir, n))]
    if not existing:
        return PredictSummary()
    try:
        content = load_json(osp.join(out_dir, RESULTS[1]))
        before = {k: content.pop(k) for k in how}
        earlier = PredictSummary(**content)
        same = before == json.loads(json.dumps(how))
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        earlier = same = None
    if not same or len(existing) < len(RESULTS):
        what = 'of another model or calibration' if earlier else 'damaged'
        raise FileExistsError(
            f"'{out_dir}' has results that are {what}: name another folder "
            'by --out, or remove it')
    return earlier


def _draw(result: ImageResult, stem: str, images: bool, cards: bool,
          masks: bool, draw: dict) -> List[str]:
    """Write the drawings of an image, and return their paths."""
    if result.error or result.image is None:
        return []
    files = []
    if images:
        from orsa.visualization import draw_faces  # imports matplotlib
        files.append(f'{stem}_faces.jpg')
        write_image(draw_faces(result.image, result.faces, **draw), files[-1])
    for k, face in enumerate(result.faces):
        if cards:
            files.append(f'{stem}_face{k}.png')
            draw_card(result, k, files[-1])
        if masks and face.parsing is not None:
            files.append(f'{stem}_face{k}_parsing.png')
            write_image(face.parsing, files[-1])
    return files


def draw_card(result: ImageResult, k: int, path: str) -> None:
    """Draw the card of a face, see :func:`orsa.visualization.draw_face_card`.

    Args:
        result (ImageResult): The image.
        k (int): The face.
        path (str): The PNG to write.
    """
    from orsa.visualization import draw_face_card  # imports matplotlib
    face = result.faces[k]
    text = face.expression
    if face.abstain:
        text = f"abstains ({', '.join(face.reasons)}); {text}"
    if face.covered is not None:
        text += f', {face.covered:.0%} occluded'
    draw_face_card(
        face.crop,
        face.scores,
        path,
        face.parsing,
        face.crop_landmarks,
        title=f'{display_name(result.name)}, face {k + 1} of '
        f'{len(result.faces)}: {text}')
