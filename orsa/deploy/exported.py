# Copyright (c) orsa contributors. All rights reserved.
"""Reading exported models, which need neither config nor checkpoint.

ONNX is data: reading it runs nothing of the file. A TorchScript or
``torch.export`` file is a program.
"""
import os
import os.path as osp
import re
import warnings
import zipfile
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np

from orsa.evaluation.calibration import Calibration, softmax
from orsa.faces.align import check_image
from orsa.faces.predictions import FaceOutputs
from orsa.utils.fileio import file_hash
from .crops import build_pipeline
from .export_info import (EMBEDDING, IMAGES, LANDMARK_SUFFIX, LANDMARKS,
                          LOGITS, META_FILE, META_KEY, PARSING, ExportInfo)

# A new format: its row here, its reader in READERS below, and its writer in
# orsa.deploy.formats.WRITERS.
FORMATS = {'.onnx': 'onnx', '.pt2': 'torch.export', '.pt': 'TorchScript'}
# from an array (N, H, W, 3) and names of outputs to those outputs
Run = Callable[[np.ndarray, Sequence[str]], Dict[str, np.ndarray]]


class ExportedModel:
    """A model that was read from a file, see :func:`load_exported`.

    Args:
        path (str): The file.
        info (ExportInfo): What it states about itself.
        run (Callable): From images (N, H, W, 3), BGR uint8, and names to
            the outputs of these names.
        outputs (Sequence[str]): Their names.
        reload (tuple): Arguments of :func:`load_exported`, all that a pickle
            holds.

    Attributes:
        classes (tuple[str]): The expressions, in the order of the scores.
        image_size (tuple[int, int]): Height and width of the input, pixels.

    Examples:
        >>> import numpy as np
        >>> from orsa.deploy.exported import load_exported
        >>> model = load_exported('orsanet_lite.onnx')
        >>> crop = np.zeros((128, 128, 3), np.uint8)
        >>> dict(zip(model.classes, model.predict([crop])[0]))
    """

    def __init__(self, path: str, info: ExportInfo, run: Run,
                 outputs: Sequence[str], reload: tuple):
        self.path = path
        self.info = info
        self.classes = info.classes
        self.image_size = info.image_size
        self.outputs = tuple(outputs)
        self._run = run
        self._reload = reload
        self._prepare = build_pipeline(info.pipeline)

    def __reduce__(self):
        return load_exported, self._reload

    @property
    def calibration(self) -> Calibration:
        """How to read the scores; the neutral one if the file has none."""
        try:
            return Calibration(**(self.info.calibration or {}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the calibration of '{self.path}' is none: "
                             f'{error}') from error

    def run(self,
            images: np.ndarray,
            outputs: Optional[Sequence[str]] = None) -> Dict[str, np.ndarray]:
        """Compute the file's graph.

        Args:
            images (np.ndarray): (N, H, W, 3), BGR uint8, of
                :attr:`image_size`.
            outputs (Sequence[str], optional): Which. Defaults to None, all.

        Returns:
            dict[str, np.ndarray]: 'logits' (N, C), float32; where it was
            exported with priors 'embedding' (N, E), the features before the
            classifier, 'landmarks' (N, K, 3), x and y as fractions
            of the crop's sides and a confidence, and 'parsing' (N, P, h, w),
            probabilities of the face regions.

        Raises:
            ValueError: If the array is another.
        """
        size = (*self.image_size, 3)
        images = np.asarray(images)
        if (images.dtype != np.uint8 or images.ndim != 4
                or images.shape[1:] != size or not len(images)):
            raise ValueError(
                f"'{self.path}' takes images (N, {size[0]}, {size[1]}, 3), "
                f'uint8, but got {images.dtype} {images.shape}; predict() '
                'resizes')
        return self._run(
            np.ascontiguousarray(images), list(outputs or self.outputs))

    def logits(self,
               crops: Sequence[np.ndarray],
               batch_size: int = 32) -> np.ndarray:
        """Logits of aligned faces.

        Args:
            crops (Sequence[np.ndarray]): (H, W, 3) each, of any size, BGR
                uint8.
            batch_size (int): Faces at a time.

        Returns:
            np.ndarray: (N, C), float32.

        Raises:
            TypeError: If a crop is no such array.
        """
        rows = [np.zeros((0, len(self.classes)), np.float32)]
        for i in range(0, len(crops), batch_size):
            batch = self._images(crops[i:i + batch_size], i)
            rows.append(self.run(batch, [LOGITS])[LOGITS])
        return np.concatenate(rows)

    def _images(self,
                crops: Sequence[np.ndarray],
                first: int = 0) -> np.ndarray:
        for i, crop in enumerate(crops, first):
            check_image(crop, f'crops[{i}]')
        return np.stack([self._prepare(crop) for crop in crops])

    def predict(self,
                crops: Sequence[np.ndarray],
                batch_size: int = 32) -> np.ndarray:
        """Scores (N, C) of aligned faces, the softmax of :meth:`logits`."""
        return softmax(self.logits(crops, batch_size))

    def locate(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """The landmarks (N, K, 3) of a batch of crops, as of :meth:`run`."""
        return self.run(self._images(crops), [LANDMARKS])[LANDMARKS]

    def face_outputs(self, crops: Sequence[np.ndarray]) -> FaceOutputs:
        """All that the file gives for a batch of aligned faces.

        Args:
            crops (Sequence[np.ndarray]): (H, W, 3) each, of any size, BGR
                uint8.

        Returns:
            FaceOutputs: Without the priors' outputs if it was exported
            without them.
        """
        found = self.run(self._images(crops))
        return FaceOutputs(
            softmax(found[LOGITS]), found.get(PARSING), found.get(LANDMARKS),
            found.get(EMBEDDING), self.info.gives_visibility)


def load_exported(path: str,
                  device: str = 'cpu',
                  run_code: bool = False) -> ExportedModel:
    """Read a model that ``tools/deployment/export.py`` has written.

    Args:
        path (str): A file .onnx, .pt2 or .pt.
        device (str): 'cpu', 'cuda' or 'cuda:N'.
        run_code (bool): Whether a file .pt2 or .pt may be read. They hold
            programs, which run with your rights: only take those from whom
            you would run a script. ONNX needs no such trust.

    Returns:
        ExportedModel: With ``classes``, ``image_size`` and ``predict``.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is needed and not installed.
        ValueError: If the file is damaged or of another origin, has another
            suffix, is a program without ``run_code``, or there is no such
            device.
    """
    path = osp.expanduser(str(path))
    kind = file_format(path)
    if not osp.isfile(path):
        raise FileNotFoundError(f"there is no exported model '{path}'")
    reload = osp.abspath(path), device, run_code
    if kind != 'onnx' and not run_code:
        raise ValueError(
            f"'{path}' ({kind}) is a program that would run with your rights:"
            ' export to .onnx, or, if you trust its origin, read it with '
            'load_exported(..., run_code=True)')
    return READERS[kind](path, kind, device, reload)


def file_format(path: str) -> str:
    """The format of an exported file, by its suffix.

    Raises:
        ValueError: If the suffix is none of :data:`FORMATS`.
    """
    suffix = osp.splitext(path)[1].lower()
    if suffix not in FORMATS:
        kinds = ', '.join(f'{k} ({v})' for k, v in FORMATS.items())
        raise ValueError(f"'{path}' should end with one of {kinds}")
    return FORMATS[suffix]


def is_exported(path: Any) -> bool:
    """Whether a path names an exported file, by its suffix."""
    return isinstance(
        path, (str, os.PathLike)) and osp.splitext(path)[1].lower() in FORMATS


def import_onnxruntime():
    """The module; an ImportError that says how to install it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            'ONNX files need onnxruntime, which is not installed: pip install'
            ' onnxruntime') from error
    return onnxruntime


def _parse_info(path: str, text: Optional[str]) -> ExportInfo:
    if not text:
        raise ValueError(f"'{path}' was not exported by orsa: it does not "
                         'name its classes. Write it with '
                         'tools/deployment/export.py')
    try:
        return ExportInfo.loads(text)
    except ValueError as error:
        raise ValueError(f"'{path}' describes itself in a form unknown to "
                         f'this version of orsa: {error}') from error


def _session(path: str, device: str):
    """Onnxruntime's session of a file."""
    ort = import_onnxruntime()
    providers, settings = ['CPUExecutionProvider'], [{}]
    device = str(device)  # or one of torch's
    if match := re.fullmatch(r'cuda(?::(\d+))?', device):
        providers.insert(0, 'CUDAExecutionProvider')
        settings.insert(0, dict(device_id=match[1] or 0))
    elif device not in ('cpu', 'cpu:0'):
        raise ValueError("device of an ONNX file should be 'cpu', 'cuda' or "
                         f"'cuda:N', but is '{device}'")
    missing = set(providers) - set(ort.get_available_providers())
    if missing:
        raise ValueError(f"device='{device}': this onnxruntime has no "
                         f'{missing.pop()}, install onnxruntime-gpu')
    options = ort.SessionOptions()
    options.intra_op_num_threads = _num_threads()
    # threads that wait busily slow everything down where others work too
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3  # errors, which are raised too
    try:
        return ort.InferenceSession(path, options, providers, settings)
    except Exception as error:  # of a dozen kinds without a common base
        raise ValueError(f"'{path}' cannot be read as an ONNX model, it is "
                         f'damaged or of another kind ({error})') from error


def _load_onnx(path: str, kind: str, device: str,
               reload: tuple) -> ExportedModel:
    session = _session(path, device)
    text = session.get_modelmeta().custom_metadata_map.get(META_KEY)
    info = _parse_info(path, text)
    _check_weights(path, info)
    inputs = [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()]
    expected = [(IMAGES, 'tensor(uint8)', [*info.image_size, 3])]
    outputs = {o.name: o.shape[-1] for o in session.get_outputs()}
    if inputs != expected or outputs.get(LOGITS) != len(info.classes):
        raise ValueError(
            f"'{path}' has inputs {inputs} and outputs {outputs}, but "
            f'describes itself as a model of {len(info.classes)} classes for '
            f'images of {info.image_size}')
    # what gives landmarks alone, where that is beside it
    part = osp.splitext(path)[0] + LANDMARK_SUFFIX
    sessions = {}
    if osp.isfile(part):
        beside = _session(part, device)
        # one that was left by another export is passed over
        if beside.get_modelmeta().custom_metadata_map.get(META_KEY) == text:
            sessions[LANDMARKS] = beside

    def run(images: np.ndarray, names: Sequence[str]) -> Dict[str, np.ndarray]:
        chosen = session if len(names) > 1 else sessions.get(names[0], session)
        try:
            found = chosen.run(names, {IMAGES: images})
        except Exception as error:  # see above
            raise RuntimeError(f"'{path}' fails for {len(images)} images: "
                               f'{error}') from error
        return dict(zip(names, found))

    return ExportedModel(path, info, run, list(outputs), reload)


def _check_weights(path: str, info: ExportInfo) -> None:
    """Check that the weights beside a file are those that it was made of."""
    if info.weights_file:
        weights = osp.join(osp.dirname(path), info.weights_file)
        if file_hash(weights) != info.weights_hash:
            raise ValueError(f"'{path}' was made of other weights than those "
                             f"of '{weights}', which it reads: export it anew")


def _num_threads() -> int:
    """As PyTorch would take: ``OMP_NUM_THREADS``, or the cores there are."""
    asked = os.environ.get('OMP_NUM_THREADS', '')
    if asked.isdigit() and int(asked):
        return int(asked)
    cores = getattr(os, 'sched_getaffinity', lambda _: range(os.cpu_count()))
    return len(cores(0))


def _read_extra(path: str, kind: str) -> Optional[str]:
    """The description in an archive of torch's, without running it."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [
                e for e in archive.infolist()
                if e.filename.endswith(f'extra/{META_FILE}')
            ]
            if not found or found[0].file_size > 1 << 20:
                return None
            return archive.read(found[0]).decode()
    except (zipfile.BadZipFile, UnicodeDecodeError, EOFError) as error:
        raise ValueError(f"'{path}' cannot be read as {kind}, it is damaged "
                         f'or of another kind ({error})') from error


def _load_torch(path: str, kind: str, device: str,
                reload: tuple) -> ExportedModel:
    import torch  # for these formats alone
    info = _parse_info(path, _read_extra(path, kind))
    try:
        if kind == 'TorchScript':
            with warnings.catch_warnings():
                # that torch.jit is deprecated stands in docs/deploy.md
                warnings.simplefilter('ignore', FutureWarning)
                model = torch.jit.load(path, map_location=device)
        else:
            program = torch.export.load(path)
            if device != 'cpu':
                # some versions of torch lack it
                from torch.export.passes import move_to_device_pass
                program = move_to_device_pass(program, device)
            model = program.module()
    except Exception as error:  # of zip, pickle, json, torch, ...
        raise ValueError(f"'{path}' cannot be read as {kind}, it is damaged, "
                         f'or of another version of torch than '
                         f'{info.torch_version} ({error})') from error

    def run(images: np.ndarray, _: Sequence[str]) -> Dict[str, np.ndarray]:
        with torch.no_grad():
            out = model(torch.from_numpy(images).to(device))
        return {LOGITS: out.float().cpu().numpy()}

    return ExportedModel(path, info, run, [LOGITS], reload)


READERS = {
    'onnx': _load_onnx,
    'torch.export': _load_torch,
    'TorchScript': _load_torch
}
