# Copyright (c) orsa contributors. All rights reserved.
"""Writing a model with its priors into one file.

The input is what OpenCV gives: crops (N, H, W, 3), BGR uint8, of the size of
the model's input; channels are reversed and normalised inside.
"""
import dataclasses
import os.path as osp
import tempfile
from typing import Optional, Tuple

import numpy as np
import torch
import torch.nn as nn

from orsa.evaluation.calibration import (calibration_file, load_calibration,
                                         softmax)
from orsa.utils.checkpoint import local_file
from orsa.utils.classes import model_classes
from orsa.utils.configs import config_hash
from orsa.utils.fileio import atomic_path, file_hash
from orsa.version import __version__
from .export_info import LANDMARK_SUFFIX, LANDMARKS, LOGITS, ExportInfo
from .exported import (ExportedModel, file_format, import_onnxruntime,
                       load_exported)
from .formats import (WRITERS, DeployedModel, fast_priors, to_half, to_int8,
                      write_onnx, write_part)
from .sample_faces import crop_pipeline, crop_size, gather_faces, spread
from .shared_weights import share_weights

PRECISIONS = ('fp32', 'fp16', 'int8')
# What an export may differ from PyTorch by: the largest difference of logits
# relative to their range over all images, and the fraction of images with the
# same predicted expression.
LIMITS = dict(fp32=(1e-4, 0.99), fp16=(0.02, 0.98), int8=(0.15, 0.9))
_BATCH = 8


class ParityError(RuntimeError):
    """An exported file predicts something else than its model."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far an exported file is from its model.

    Attributes:
        count (int): Images that were compared.
        source (str): What images, in words.
        largest (float): The largest difference of logits.
        spread (float): Largest less smallest of the model's logits.
        equal (float): The fraction of images with the same prediction.
    """
    count: int
    source: str
    largest: float
    spread: float
    equal: float

    @property
    def relative(self) -> float:
        """The largest difference relative to the spread."""
        return self.largest / self.spread

    def __str__(self) -> str:
        return (f'{self.count} {self.source}: logits differ by '
                f'{self.largest:.3g} at most, {self.relative:.3g} of their '
                f'spread {self.spread:.3g}; {self.equal:.2%} of the '
                'predictions are equal')


@torch.no_grad()
def reference_logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Logits of the model itself.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        images (np.ndarray): (N, H, W, 3), BGR uint8, of its size.

    Returns:
        np.ndarray: (N, C).

    Raises:
        ValueError: If its scores are not the softmax of its logits, so that
            an exported file would predict something else.
    """
    # heavy, and this module is read for its arguments too
    from mmpretrain.structures import DataSample
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(images[start:start + _BATCH])
        data = model.data_preprocessor(
            dict(
                inputs=list(batch.permute(0, 3, 1, 2)),
                data_samples=[DataSample() for _ in batch]), False)
        logits = model(data['inputs'], mode='tensor')
        if start == 0:
            samples = model(**data, mode='predict')
            scores = torch.stack([s.pred_score for s in samples]).numpy()
            if not isinstance(logits, torch.Tensor) or not np.allclose(
                    softmax(logits.numpy()), scores, atol=1e-5):
                raise ValueError(
                    f"the scores of {type(model.head).__name__} are not the "
                    'softmax of its logits, it cannot be exported')
        rows.append(logits.numpy())
    return np.concatenate(rows)


def _compare(exported: ExportedModel, images: np.ndarray, expected: np.ndarray,
             source: str) -> Parity:
    """Compare an exported file with its model, in batches of several sizes."""
    batches = [images[:1]]
    batches += [images[i:i + _BATCH] for i in range(1, len(images), _BATCH)]
    found = np.concatenate([exported.run(batch)[LOGITS] for batch in batches])
    return Parity(
        count=len(images),
        source=source,
        largest=float(np.abs(found - expected).max()),
        spread=float(expected.max() - expected.min()),
        equal=float((found.argmax(1) == expected.argmax(1)).mean()))


def check_pair(path: str, precision: str) -> str:
    """The format of a file to be written, by its suffix.

    Raises:
        ValueError: If the suffix or the precision is unknown, or the format
            is not written in it.
    """
    kind = file_format(path)
    if precision not in PRECISIONS:
        raise ValueError(f'precision should be one of {PRECISIONS}, but got '
                         f"'{precision}'")
    if kind != 'onnx' and precision != 'fp32':
        raise ValueError(f"{precision} is for ONNX: '{path}' ({kind}) is "
                         'written in fp32 only')
    return kind


def describe(model: nn.Module, precision: str,
             checkpoint: Optional[str]) -> ExportInfo:
    """What an exported file of a model states about itself.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        precision (str): One of :data:`PRECISIONS`.
        checkpoint (str, optional): Where its weights are from.
    """
    pipeline = crop_pipeline(model.cfg)
    weights = None if checkpoint is None else local_file(checkpoint)
    calibration = None
    if weights and osp.isfile(calibration_file(checkpoint)):
        calibration = dataclasses.asdict(load_calibration(checkpoint))
    deployed = DeployedModel(model)
    return ExportInfo(
        classes=model_classes(model),
        image_size=crop_size(pipeline),
        pipeline=pipeline,
        precision=precision,
        mean=deployed.pixel_mean.flatten().tolist(),
        std=deployed.pixel_std.flatten().tolist(),
        orsa_version=__version__,
        torch_version=torch.__version__,
        config_hash=config_hash(model.cfg.model),
        weights_hash=weights and file_hash(weights),
        calibration=calibration,
        gives_visibility=getattr(
            getattr(model.backbone, 'landmark_prior', None),
            'gives_visibility', False))


def export_model(model: nn.Module,
                 path: str,
                 precision: str = 'fp32',
                 checkpoint: Optional[str] = None,
                 with_priors: bool = False,
                 calibration_images: Optional[str] = None,
                 calibration_samples: int = 256,
                 check_samples: int = 64,
                 limits: Optional[Tuple[float, float]] = None,
                 share: bool = False) -> Parity:
    """Write a model into one file, if that predicts what the model does.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it, on the
            CPU.
        path (str): The file, .onnx, .pt2 or .pt. It is replaced completely,
            or stays as it is.
        precision (str): 'fp32'; for ONNX 'fp16' or 'int8' too.
        checkpoint (str, optional): Where its weights are from, for their
            hash and calibration.
        with_priors (bool): Whether the file gives the landmarks and parsing
            maps of its priors too, for ONNX.
        calibration_images (str, optional): A folder of aligned faces to
            calibrate int8 on, and to compare with. Defaults to None, the
            training split.
        calibration_samples (int): Of these, to calibrate.
        check_samples (int): Others of these, to compare.
        limits (tuple[float, float], optional): The largest difference of
            logits relative to their spread, and the smallest fraction of
            equal predictions. Defaults to None, those of :data:`LIMITS`.
        share (bool): Whether the file reads its weights from the checkpoint,
            beside which it then has to lie: ONNX in fp32. With priors the
            part that gives landmarks is written too, as
            ``STEM.landmarks.onnx``. Defaults to False.

    Returns:
        Parity: How far the file is from the model.

    Raises:
        ParityError: If that is more than ``limits``; nothing is written.
        ValueError: If the format has no such precision, or the model cannot
            be exported.
        ImportError: If onnxruntime or onnx is needed and not installed.
    """
    kind = check_pair(path, precision)
    if kind == 'onnx':
        import_onnxruntime()
        try:
            import onnx  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f'writing ONNX needs {error.name}, which is not installed: '
                f'pip install {error.name}') from error
    elif with_priors:
        raise ValueError(f"with_priors is for ONNX: '{path}' ({kind}) gives "
                         'logits only')
    if share and (kind != 'onnx' or precision != 'fp32' or not checkpoint):
        raise ValueError('sharing weights is for ONNX in fp32, of a '
                         f"checkpoint: '{path}', {precision}, {checkpoint}")
    info = describe(model, precision, checkpoint)
    if share:
        info = dataclasses.replace(
            info, weights_file=osp.basename(local_file(checkpoint)))
    count = calibration_samples if precision == 'int8' else 0
    faces = gather_faces(model.cfg, info.pipeline, count + check_samples,
                         calibration_images, precision == 'int8')
    calibrating, checking = _divide(faces.images, count)
    expected = reference_logits(model, checking)
    tolerance, least = limits or LIMITS[precision]
    with atomic_path(path) as temporary:
        if share:
            # faster copies and folded ones would have other weights
            write_onnx(
                DeployedModel(model, with_priors).eval(),
                temporary,
                info,
                optimize=False)
            share_weights(temporary, local_file(checkpoint))
        else:
            _write(model, temporary, kind, info, with_priors, calibrating)
        parity = _compare(
            load_exported(temporary, run_code=True), checking, expected,
            faces.source)
        # a NaN is not below it
        if not (parity.relative <= tolerance and parity.equal >= least):
            raise ParityError(
                f"'{path}' was not written: in {precision} it is no longer "
                f'the model. {parity}; allowed are {tolerance:g} of the '
                f'spread, and {least:.0%} equal at least (--tolerance, '
                '--min-equal)')
    path = osp.expanduser(path)
    if share and LANDMARKS in load_exported(path).outputs:
        part = osp.splitext(path)[0] + LANDMARK_SUFFIX
        with atomic_path(part) as temporary:
            write_part(path, temporary, LANDMARKS)
    return parity


def _divide(images: np.ndarray, first: int) -> Tuple[np.ndarray, np.ndarray]:
    """Images to calibrate on, and others, both spread over all."""
    if not first:
        return images[:0], images
    if len(images) < 2:
        raise ValueError('int8 needs two images or more, some to calibrate '
                         f'on and some to check, but got {len(images)}')
    checking = spread(len(images), len(images) - min(first, len(images) - 1))
    calibrating = np.setdiff1d(range(len(images)), checking)
    return images[calibrating], images[checking]


def _write(model: nn.Module, path: str, kind: str, info: ExportInfo,
           with_priors: bool, calibrating: np.ndarray) -> None:
    deployed = DeployedModel(model, with_priors).eval()
    write = WRITERS[kind]
    with torch.no_grad(), fast_priors(model, info.image_size):
        if info.precision == 'fp32':
            return write(deployed, path, info)
        with tempfile.TemporaryDirectory() as folder:
            full = osp.join(folder, 'fp32.onnx')
            write(deployed, full, info)
            if info.precision == 'fp16':
                return to_half(full, path, info)
            return to_int8(full, path, info, calibrating)
