# Copyright (c) orsa contributors. All rights reserved.
"""``orsa predict``: photographs in, drawings and JSON lines out."""
import contextlib
import dataclasses
import io
import json
import logging
import os
import os.path as osp
from collections import Counter
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
from PIL import Image, PngImagePlugin

from orsa.faces.images import display_name, file_stem
from orsa.faces.result_files import write_results
from orsa.faces.results import SCHEMA, ImageResult
from orsa.utils.fileio import atomic_path, check_writable, dump_json, load_json
from orsa.utils.folder_lock import locked_folder
from orsa.utils.own_files import EMBEDDINGS, MARK, RESULTS, SUMMARY
from orsa.visualization import draw_face_card, draw_faces
from .inferencer import FERInferencer


@dataclasses.dataclass
class PredictSummary:
    """Counts of images, as ``summary.json`` has them.

    Attributes:
        images (int): How many there were.
        faces (int): How many faces are in them.
        abstained (int): Of these, those for which the model abstained.
        without_faces (list[str]): Images in which none was found.
        errors (list[dict[str, str]]): ``file`` and ``error`` of what could
            not be read.
        notes (list[dict[str, str]]): ``file`` and ``note``, what was wrong
            with a file that was read nevertheless.
        too_small (int): How many faces were left out for their size.
        interrupted (bool): Whether it was stopped by Ctrl-C.
    """
    images: int = 0
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
        self.images += 1
        if result.error:
            self.errors.append(dict(file=name, error=result.error))
            return
        self.notes += [dict(file=name, note=note) for note in result.notes]
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
        embeddings: bool = False,
        draw: Optional[dict] = None,
        with_folders: bool = True,
        report: Optional[Callable[[ImageResult],
                                  None]] = None) -> PredictSummary:
    """Predict for images and write the results.

    ``predictions.jsonl`` has a line and ``predictions.csv`` a row for each
    face, ``summary.json`` what could not be read and how the scores were
    made, ``NAME_faces.jpg`` shows the faces in their image.

    Args:
        inferencer (FERInferencer): The model.
        inputs (Sequence[str]): Files, folders and patterns.
        out_dir (str): Where to write. A run adds to the results of an earlier
            one of the same model: rows to the predictions, counts to
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
        embeddings (bool): Whether to write ``embeddings.npz``: a row of
            ``embeddings`` (N, E) for each face, of the image ``files[i]`` and
            the number ``faces[i]``. Defaults to False.
        draw (dict, optional): Of :func:`orsa.visualization.draw_faces`.
            Defaults to None.
        with_folders (bool): Whether images are named by their paths, or by
            the names of their files alone. Defaults to True.
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
    out_dir = osp.expanduser(out_dir)
    check_writable(out_dir)
    how = dict(
        schema=SCHEMA,
        classes=list(inferencer.classes),
        calibration=dataclasses.asdict(inferencer.calibration),
        **inferencer.origin())
    summary, vectors = PredictSummary(), []
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked_folder(out_dir, 0, '--out'))
        earlier, names = _read_earlier(out_dir, how), Names(out_dir)
        write_row = stack.enter_context(
            write_results(
                osp.join(out_dir, 'predictions'), inferencer.classes, True))
        try:
            for result in inferencer.stream(inputs, batch_size, aligned,
                                            embeddings):
                name = names.of(result.name)
                if not with_folders:
                    result.name = osp.basename(result.name)
                files = _draw(result, osp.join(out_dir, name), images, cards,
                              masks, draw or {})
                summary.add(result)
                for row, face in zip(result.to_dicts(), result.faces):
                    if embeddings:
                        vectors.append(
                            (row['file'], row['face'], face.embedding))
                    row['files'] = [osp.basename(file) for file in files]
                    write_row(row)
                if report is not None:
                    report(result)
        except KeyboardInterrupt:
            summary.interrupted = True
        if vectors:
            _write_embeddings(vectors, osp.join(out_dir, EMBEDDINGS))
        dump_json(
            dict(vars(summary.after(earlier)), **how),
            osp.join(out_dir, SUMMARY))
    return summary


def _write_embeddings(vectors: List[tuple], path: str) -> None:
    """Write files, numbers and embeddings behind those that are there."""
    columns = dict(
        zip(('files', 'faces', 'embeddings'), map(list, zip(*vectors))))
    if osp.isfile(path):
        with np.load(path) as earlier:
            columns = {k: [*earlier[k], *v] for k, v in columns.items()}
    with atomic_path(path) as temporary, open(temporary, 'wb') as file:
        np.savez(file, **columns)


def _read_earlier(out_dir: str, how: dict) -> PredictSummary:
    """The summary of the results in a folder, to which a run may add."""
    existing = [n for n in RESULTS if osp.exists(osp.join(out_dir, n))]
    if not existing:
        return PredictSummary()
    try:
        content = load_json(osp.join(out_dir, SUMMARY))
        before = {k: content.pop(k) for k in how}
        earlier = PredictSummary(**content)
        same = before == json.loads(json.dumps(how))
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        earlier = same = None
    if not same or len(existing) < len(RESULTS):
        what = ('damaged or incomplete' if same or earlier is None else
                'of another model, detector or calibration')
        raise FileExistsError(
            f"'{out_dir}' has results that are {what}: name another folder "
            'by --out, or remove it')
    logging.getLogger('orsa').warning(
        "'%s' has results of %d images, to which these are added", out_dir,
        earlier.images)
    return earlier


def _draw(result: ImageResult, stem: str, images: bool, cards: bool,
          masks: bool, draw: dict) -> List[str]:
    """Write the drawings of an image, and return their paths."""
    if result.error or result.image is None:
        return []
    files = []
    if images:
        files.append(f'{stem}_faces.jpg')
        write_image(draw_faces(result.image, result.faces, **draw), files[-1])
    for k, face in enumerate(result.faces, 1):
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
        k (int): The number of the face, from 1.
        path (str): The PNG to write.
    """
    face = result.faces[k - 1]
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
        title=f'{display_name(result.name)}, face {k} of '
        f'{len(result.faces)}: {text}')
