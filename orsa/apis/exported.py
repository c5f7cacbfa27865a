# Copyright (c) orsa contributors. All rights reserved.
"""Models in a file of their own, without config and checkpoint.

``tools/deployment/export.py`` writes them (:mod:`orsa.deploy.export`), here
they are read and asked. ONNX is data: reading it runs nothing of the file, and
asking it computes what its graph says, in whatever memory that takes. A
TorchScript or ``torch.export`` file is a program.
"""
import dataclasses
import json
import os.path as osp
import warnings
import zipfile
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from scipy.special import softmax

from orsa.evaluation.calibration import Calibration
from orsa.faces.align import check_image

FORMATS = {'.onnx': 'onnx', '.pt2': 'torch.export', '.pt': 'TorchScript'}
# under which an ONNX file, and in which file of the others' archive, it
# says what it is
META_KEY, META_FILE = 'orsa', 'orsa.json'
# the input and the outputs by name
IMAGES, LOGITS, LANDMARKS, PARSING = 'images', 'logits', 'landmarks', 'parsing'
# What may bring a crop to the model's size. A name of a registry can be the
# path of any function, so that those in a file are held against this list.
TRANSFORMS = ('CenterCrop', 'Pad', 'Resize', 'ResizeEdge',
              'orsa.RandomFaceAffine')
# More pixels to a side, and more transforms, no model needs
_LARGEST, _MOST = 4096, 16
# what an array is in memory, (N, H, W, 3), to outputs by name
Run = Callable[[np.ndarray], Dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class ExportInfo:
    """What an exported file says of itself.

    Attributes:
        classes (tuple[str]): The expressions, in the order of the outputs.
        image_size (tuple[int, int]): Height and width of the input.
        pipeline (tuple[dict]): Transforms that bring a crop to this size, of
            :data:`TRANSFORMS`; no number in them is beyond 4096.
        precision (str): 'fp32', 'fp16' or 'int8'.
        mean (tuple[float]): What is subtracted inside, RGB; for people.
        std (tuple[float]): What it is divided by inside; for people.
        orsa_version (str): Of what wrote the file.
        torch_version (str): The same.
        config_hash (str): SHA-256 of the model's config.
        weights_hash (str, optional): SHA-256 of the checkpoint; None if there
            was none.
        calibration (dict, optional): Of :class:`orsa.apis.Calibration`, what
            lay beside the checkpoint.

    Raises:
        ValueError: If a value is of another kind.
    """
    classes: Tuple[str, ...]
    image_size: Tuple[int, int]
    pipeline: Tuple[dict, ...]
    precision: str
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    orsa_version: str
    torch_version: str
    config_hash: str
    weights_hash: Optional[str] = None
    calibration: Optional[dict] = None

    def __post_init__(self):
        for key in ('classes', 'image_size', 'pipeline', 'mean', 'std'):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        _demand(
            self.classes and all(isinstance(c, str) for c in self.classes),
            'classes', self.classes, 'names')
        _demand(
            len(self.image_size) == 2 and all(
                type(s) is int and 0 < s < _LARGEST for s in self.image_size),
            'image_size', self.image_size, 'height and width')
        _demand(
            len(self.pipeline) <= _MOST, 'pipeline', self.pipeline,
            f'at most {_MOST} transforms')
        for one in self.pipeline:
            _demand(
                isinstance(one, dict) and one.get('type') in TRANSFORMS
                and not _has_dict(list(one.values())), 'pipeline', one,
                f'one of {", ".join(TRANSFORMS)} with plain arguments')
            _demand(
                _is_bounded(list(one.values()))
                and one.get('scale_factor') is None, 'pipeline', one,
                f'of sizes up to {_LARGEST}, without scale_factor')

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> 'ExportInfo':
        """From JSON.

        Raises:
            ValueError: If it is something else.
        """
        content = json.loads(text)
        try:
            return cls(**content)
        except TypeError as error:
            raise ValueError(str(error).replace('.__init__', '')) from error


def _demand(good: bool, key: str, value: Any, wanted: str) -> None:
    if not good:
        raise ValueError(f'{key} should be {wanted}, but is '
                         f'{str(value)[:100]}')


def _has_dict(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_dict(v) for v in value)
    return isinstance(value, dict)


def _is_bounded(value: Any) -> bool:
    """Whether no number makes a picture that takes the machine's memory."""
    if isinstance(value, (list, tuple)):
        return all(_is_bounded(v) for v in value)
    return not isinstance(value, (int, float)) or abs(value) <= _LARGEST


class ExportedModel:
    """A model that was read from a file, see :func:`load_exported`.

    Args:
        path (str): The file.
        info (ExportInfo): What it says of itself.
        run (Callable): From images (N, H, W, 3), BGR uint8, to outputs by
            name.
        outputs (Sequence[str]): Their names.
        reload (tuple): What :func:`load_exported` was given: a pickle of this
            holds that alone, and reads the file again.

    Examples:
        >>> import numpy as np
        >>> from orsa.apis.exported import load_exported
        >>> model = load_exported('orsanet_lite.onnx')
        >>> crop = np.zeros((128, 128, 3), np.uint8)
        >>> dict(zip(model.classes, model.predict([crop])[0]))
    """

    def __init__(self, path: str, info: ExportInfo, run: Run,
                 outputs: Sequence[str], reload: tuple):
        self.path = path
        self._reload = reload
        self.info = info
        self.outputs = tuple(outputs)
        self._run = run
        self._compose = build_pipeline(self.info.pipeline)

    def __reduce__(self):
        return load_exported, self._reload

    @property
    def classes(self) -> Tuple[str, ...]:
        """The expressions, in the order of the scores."""
        return self.info.classes

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width that the model works at, in pixels."""
        return self.info.image_size

    @property
    def calibration(self) -> Calibration:
        """How to read the scores; the neutral one if the file has none.

        Raises:
            ValueError: If what it has is no calibration.
        """
        try:
            return Calibration(**(self.info.calibration or {}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the calibration of '{self.path}' is none: "
                             f'{error}') from error

    def run(self, images: np.ndarray) -> Dict[str, np.ndarray]:
        """Ask the file itself.

        Args:
            images (np.ndarray): (N, H, W, 3), BGR uint8, of
                :attr:`image_size`.

        Returns:
            dict[str, np.ndarray]: 'logits' (N, C), float32; where it was
            exported with priors 'landmarks' (N, K, 3), x and y as shares of
            the crop's sides (0 is its edge) and a confidence, and 'parsing'
            (N, P, h, w), probabilities of the parts of the face.

        Raises:
            ValueError: If the array is another.
        """
        wanted = (*self.image_size, 3)
        if (not isinstance(images, np.ndarray) or images.dtype != np.uint8
                or images.ndim != 4 or images.shape[1:] != wanted
                or not len(images)):
            got = (f'{images.dtype} {images.shape}' if isinstance(
                images, np.ndarray) else type(images).__name__)
            raise ValueError(f"'{self.path}' takes images (N, {wanted[0]}, "
                             f'{wanted[1]}, 3), uint8, but got {got}; '
                             'predict() resizes')
        return self._run(np.ascontiguousarray(images))

    def resize(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Bring crops to :attr:`image_size`, as the model's tests did.

        Args:
            crops (Sequence[np.ndarray]): (H, W, 3) each, BGR uint8.

        Returns:
            np.ndarray: (N, *image_size, 3), BGR uint8.

        Raises:
            TypeError: If a crop is no such array.
        """
        rows = []
        for i, crop in enumerate(crops):
            check_image(crop, f'crops[{i}]')
            rows.append(apply_pipeline(self._compose, crop))
        return np.stack(rows) if rows else np.zeros(
            (0, *self.image_size, 3), np.uint8)

    def logits(self,
               crops: Sequence[np.ndarray],
               batch_size: int = 32) -> np.ndarray:
        """What the model gives for aligned faces, (N, C), float32.

        Args:
            crops (Sequence[np.ndarray]): (H, W, 3) each, of any size, BGR
                uint8.
            batch_size (int): Faces at a time. Defaults to 32.
        """
        if batch_size < 1:
            raise ValueError(
                f'batch_size should be positive, got {batch_size}')
        images = self.resize(crops)
        rows = [
            self.run(images[i:i + batch_size])[LOGITS]
            for i in range(0, len(images), batch_size)
        ]
        return np.concatenate(rows) if rows else np.zeros(
            (0, len(self.classes)), np.float32)

    def predict(self,
                crops: Sequence[np.ndarray],
                batch_size: int = 32) -> np.ndarray:
        """Scores of aligned faces.

        Args:
            crops (Sequence[np.ndarray]): (H, W, 3) each, of any size, BGR
                uint8.
            batch_size (int): Faces at a time. Defaults to 32.

        Returns:
            np.ndarray: (N, C), in [0, 1], together 1, in the order of
            :attr:`classes`.

        Raises:
            TypeError: If a crop is no such array.
            ValueError: If ``batch_size`` is not positive.
        """
        return softmax(self.logits(crops, batch_size), axis=-1)


def build_pipeline(pipeline: Sequence[dict]) -> Compose:
    """Transforms of :data:`TRANSFORMS`, from their configs."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose([dict(one) for one in pipeline])


def apply_pipeline(compose: Compose, crop: np.ndarray) -> np.ndarray:
    """Bring one crop, (H, W, 3), to the size of the model."""
    shape = crop.shape[:2]
    return compose(dict(img=crop, img_shape=shape, ori_shape=shape))['img']


def file_format(path: str) -> str:
    """One of 'onnx', 'torch.export' and 'TorchScript', by the suffix.

    Raises:
        ValueError: If it is another one.
    """
    suffix = osp.splitext(path)[1].lower()
    if suffix not in FORMATS:
        kinds = ', '.join(f'{k} ({v})' for k, v in FORMATS.items())
        raise ValueError(f"'{path}' should end with one of {kinds}")
    return FORMATS[suffix]


def is_exported(path: Any) -> bool:
    """Whether a path names an exported file, by its suffix."""
    return isinstance(path, (str, osp.os.PathLike)) and osp.splitext(
        osp.os.fspath(path))[1].lower() in FORMATS


def load_exported(path: str,
                  device: str = 'cpu',
                  threads: Optional[int] = None,
                  run_code: bool = False) -> ExportedModel:
    """Read a model that ``tools/deployment/export.py`` has written.

    Args:
        path (str): A file .onnx, .pt2 or .pt.
        device (str): 'cpu' or 'cuda'. Defaults to 'cpu'.
        threads (int, optional): Of onnxruntime. Defaults to None, as many as
            torch uses.
        run_code (bool): Whether a file .pt2 or .pt may be read. They hold
            programs, which run with your rights: only take those from whom
            you would run a script. ONNX needs no such trust.
            Defaults to False.

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
    reload = osp.abspath(path), device, threads, run_code
    if kind == 'onnx':
        return _load_onnx(path, device, threads or torch.get_num_threads(),
                          reload)
    if not run_code:
        raise ValueError(
            f"'{path}' ({kind}) is a program that would run with your rights:"
            ' export to .onnx, or, if you trust its origin, read it with '
            'load_exported(..., run_code=True)')
    return _load_torch(path, kind, device, reload)


def import_onnxruntime():
    """The module, or an error that says how to get it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            'ONNX files need onnxruntime, which is not installed: pip install'
            ' "orsa[deploy]" or pip install onnxruntime') from error
    return onnxruntime


def _parse_info(path: str, text: Optional[str]) -> ExportInfo:
    if not text:
        raise ValueError(f"'{path}' was not exported by orsa: it does not "
                         'say what its classes are. Write it with '
                         'tools/deployment/export.py')
    try:
        return ExportInfo.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"'{path}' does not say what it is in the form of "
                         f'this version of orsa: {error}') from error


def _load_onnx(path: str, device: str, threads: int,
               reload: tuple) -> ExportedModel:
    ort = import_onnxruntime()
    providers = ['CPUExecutionProvider']
    if device.startswith('cuda'):
        providers.insert(0, 'CUDAExecutionProvider')
    elif device != 'cpu':
        raise ValueError(f"device should be 'cpu' or 'cuda', got '{device}'")
    missing = set(providers) - set(ort.get_available_providers())
    if missing:
        raise ValueError(f"device='{device}': this onnxruntime has no "
                         f'{missing.pop()}, install onnxruntime-gpu')
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors, which are raised too
    try:
        session = ort.InferenceSession(path, options, providers)
    except Exception as error:  # of a dozen kinds, none a common one's heir
        raise ValueError(f"'{path}' cannot be read as an ONNX model, it is "
                         f'damaged or of another kind ({error})') from error
    info = _parse_info(
        path,
        session.get_modelmeta().custom_metadata_map.get(META_KEY))
    names = [o.name for o in session.get_outputs()]
    found = [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()]
    wanted = [(IMAGES, 'tensor(uint8)', [*info.image_size, 3])]
    last = {o.name: o.shape[-1] for o in session.get_outputs()}
    if found != wanted or last.get(LOGITS) != len(info.classes):
        raise ValueError(
            f"'{path}' has inputs {found} and outputs {last}, which are not "
            f'those of what it says it is: {len(info.classes)} classes, '
            f'images of {info.image_size}')

    def run(images: np.ndarray) -> Dict[str, np.ndarray]:
        try:
            found = session.run(names, {IMAGES: images})
        except Exception as error:  # see above
            raise RuntimeError(f"'{path}' fails for {len(images)} images: "
                               f'{error}') from error
        return dict(zip(names, found))

    return ExportedModel(path, info, run, names, reload)


def _read_extra(path: str, kind: str) -> Optional[str]:
    """What an archive of torch's says of itself, without running it."""
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


def _read_program(path: str, kind: str, device: str) -> nn.Module:
    with warnings.catch_warnings():
        # torch.jit is on its way out: docs/deploy.md says so once
        warnings.simplefilter('ignore', FutureWarning)
        if kind == 'TorchScript':
            return torch.jit.load(path, map_location=device)
    program = torch.export.load(path)
    if device != 'cpu':
        from torch.export.passes import move_to_device_pass
        program = move_to_device_pass(program, device)
    return program.module()


def _load_torch(path: str, kind: str, device: str,
                reload: tuple) -> ExportedModel:
    info = _parse_info(path, _read_extra(path, kind))
    try:
        model = _read_program(path, kind, device)
    except Exception as error:  # of zip, pickle, json, torch, ...
        raise ValueError(f"'{path}' cannot be read as {kind}, it is damaged, "
                         f'or of another version of torch than '
                         f'{info.torch_version} ({error})') from error

    @torch.no_grad()
    def run(images: np.ndarray) -> Dict[str, np.ndarray]:
        out = model(torch.from_numpy(images).to(device))
        return {LOGITS: out.float().cpu().numpy()}

    return ExportedModel(path, info, run, [LOGITS], reload)


class _AsIs(nn.Module):
    """Stands for a data preprocessor, whose work is done inside the file."""

    def forward(self, data: dict, training: bool = False) -> dict:
        inputs = data['inputs']
        if isinstance(inputs, (list, tuple)):
            inputs = torch.stack(list(inputs))
        return dict(data, inputs=inputs)


class _Prior(nn.Module):
    """Stands for a frozen prior, whose output is one of the file's."""

    def __init__(self, ask: Callable[[torch.Tensor], torch.Tensor],
                 input_size: Tuple[int, int], ability: str):
        super().__init__()
        self._ask = ask
        self.input_size = input_size
        setattr(self, ability, True)

    def parse(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, P, h, w)."""
        return self._ask(x)

    def locate(self, x: torch.Tensor) -> torch.Tensor:
        """Keypoints (B, K, 3), 0 being the centre of the first pixel."""
        height, width = self.input_size
        return self._ask(x) - torch.tensor([.5 / width, .5 / height, 0.])


class ExportedClassifier(nn.Module):
    """An exported file in the clothes of :func:`orsa.apis.init_model`'s.

    With it :func:`orsa.apis.predict_faces`, :func:`orsa.apis.landmark_locator`
    and :class:`orsa.apis.FERInferencer` take an exported file. Where this was
    exported without priors there are no masks and landmarks.

    Args:
        exported (ExportedModel): The file.
    """

    def __init__(self, exported: ExportedModel):
        super().__init__()
        self.exported = exported
        self.dataset_meta = dict(classes=exported.classes)
        pipeline = [dict(t) for t in exported.info.pipeline]
        self.cfg = Config(
            dict(
                default_scope='mmpretrain',
                test_dataloader=dict(
                    dataset=dict(pipeline=pipeline +
                                 [dict(type='PackInputs')]))))
        self.data_preprocessor = _AsIs()
        self.backbone = nn.Module()
        for name, output, ability in (('parsing_prior', PARSING, 'can_parse'),
                                      ('landmark_prior', LANDMARKS,
                                       'can_locate')):
            if output in exported.outputs:
                setattr(
                    self.backbone, name,
                    _Prior(
                        lambda x, key=output: self._outputs(x)[key],
                        exported.image_size,
                        ability))
        self._last: Tuple[Any, Dict[str, torch.Tensor]] = (None, {})

    def __reduce__(self):
        return ExportedClassifier, (self.exported, )

    def _outputs(self, inputs: torch.Tensor) -> Dict[str, torch.Tensor]:
        """All outputs; asked once for one tensor, which priors share."""
        if self._last[0] is not inputs:
            images = inputs.cpu().permute(0, 2, 3, 1).numpy()
            found = self.exported.run(images)
            self._last = inputs, {
                k: torch.from_numpy(v)
                for k, v in found.items()
            }
        return self._last[1]

    def forward(self,
                inputs: torch.Tensor,
                data_samples: Optional[List] = None,
                mode: str = 'tensor'):
        """As of a classifier, without training.

        Args:
            inputs (Tensor): Images (N, 3, H, W), BGR uint8, as
                ``PackInputs`` makes them.
            data_samples (list[DataSample], optional): Of each.
                Defaults to None.
            mode (str): 'tensor' for logits, 'predict' for data samples with
                ``pred_score`` and ``pred_label``. Defaults to 'tensor'.

        Raises:
            ValueError: For another mode.
        """
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"an exported model knows mode='tensor' and "
                             f"'predict', but got '{mode}'")
        logits = self._outputs(inputs)[LOGITS]
        if mode == 'tensor':
            return logits
        from mmpretrain.structures import DataSample
        samples = data_samples or [DataSample() for _ in logits]
        for sample, score in zip(samples, logits.softmax(-1), strict=True):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return samples
