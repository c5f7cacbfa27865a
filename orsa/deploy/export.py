# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/deployment/export.py`` does, for use from Python.

A model and its priors become one file that needs neither config nor
checkpoint, see :mod:`orsa.apis.exported` for reading it. The input is what
OpenCV gives: crops (N, H, W, 3), BGR uint8, of the size that the model works
at; colours are exchanged and normalised inside.
"""
import argparse
import dataclasses
import os.path as osp
import tempfile
from typing import Optional, Tuple

import numpy as np
import torch
import torch.nn as nn
from scipy.special import softmax

from orsa.apis.exported import (LOGITS, ExportedModel, ExportInfo, file_format,
                                import_onnxruntime, load_exported)
from orsa.apis.inference import model_classes
from orsa.apis.model import init_model
from orsa.apis.zoo import looks_like_name, resolve_model
from orsa.evaluation.calibration import calibration_file, load_calibration
from orsa.utils.checkpoint import zoo_path
from orsa.utils.configs import config_hash
from orsa.utils.fileio import atomic_path, file_hash
from orsa.utils.pretrained import local_file
from orsa.version import __version__
from .formats import (DeployedModel, fast_priors, to_half, to_int8, write_onnx,
                      write_pt2, write_torchscript)
from .sample_faces import crop_pipeline, crop_size, gather_faces, spread

PRECISIONS = ('fp32', 'fp16', 'int8')
# What an export may differ from PyTorch by: the largest difference of logits
# in terms of their range over all images, and the share of images for which
# the first expression is the same.
LIMITS = dict(fp32=(1e-4, 0.99), fp16=(0.02, 0.98), int8=(0.15, 0.9))
_BATCH = 8


class ParityError(RuntimeError):
    """What was exported does not say what the model says."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far an exported file is from its model.

    Attributes:
        count (int): Images that both were asked about.
        source (str): What images, in words.
        largest (float): The largest difference of logits.
        spread (float): Largest less smallest of the model's logits.
        equal (float): The share of images with the same first expression.
    """
    count: int
    source: str
    largest: float
    spread: float
    equal: float

    @property
    def relative(self) -> float:
        """The largest difference in terms of the spread."""
        return self.largest / self.spread

    def __str__(self) -> str:
        return (f'{self.count} {self.source}: logits differ by '
                f'{self.largest:.3g} at most, {self.relative:.3g} of their '
                f'spread {self.spread:.3g}; {self.equal:.2%} of the '
                'predictions are equal')


@torch.no_grad()
def reference_logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """What the model says, on its own way from pictures to logits.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        images (np.ndarray): (N, H, W, 3), BGR uint8, of its size.

    Returns:
        np.ndarray: (N, C).

    Raises:
        ValueError: If its scores are not the softmax of its logits, so that
            an exported file would say something else.
    """
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
            said = model(**data, mode='predict')
            scores = torch.stack([s.pred_score for s in said]).numpy()
            if not isinstance(logits, torch.Tensor) or not np.allclose(
                    softmax(logits.numpy(), axis=1), scores, atol=1e-5):
                raise ValueError(
                    f"the scores of {type(model.head).__name__} are not the "
                    'softmax of what the model gives, it cannot be exported')
        rows.append(logits.numpy())
    return np.concatenate(rows)


def compare(exported: ExportedModel, images: np.ndarray, expected: np.ndarray,
            source: str) -> Parity:
    """Hold an exported file against its model.

    It is asked about one image, then about others in batches of several
    sizes.

    Args:
        exported (ExportedModel): The file.
        images (np.ndarray): (N, H, W, 3), BGR uint8.
        expected (np.ndarray): What the model says, (N, C).
        source (str): What images these are.

    Returns:
        Parity: How far they are apart.
    """
    rows = [exported.run(images[:1])[LOGITS]]
    rows += [
        exported.run(images[i:i + _BATCH])[LOGITS]
        for i in range(1, len(images), _BATCH)
    ]
    given = np.concatenate(rows)
    return Parity(
        count=len(images),
        source=source,
        largest=float(np.abs(given - expected).max()),
        spread=float(expected.max() - expected.min()),
        equal=float((given.argmax(1) == expected.argmax(1)).mean()))


def check_pair(path: str, precision: str) -> str:
    """The format of a file to be written.

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
    """What an exported file of a model says of itself."""
    pipeline = crop_pipeline(model.cfg)
    weights = None if checkpoint is None else local_file(zoo_path(checkpoint))
    calibration = None
    if weights and osp.isfile(calibration_file(checkpoint)):
        calibration = dataclasses.asdict(load_calibration(checkpoint))
    deployed = DeployedModel(model)
    return ExportInfo(
        classes=model_classes(model),
        image_size=crop_size(pipeline),
        pipeline=pipeline,
        precision=precision,
        mean=deployed.mean.flatten().tolist(),
        std=deployed.std.flatten().tolist(),
        orsa_version=__version__,
        torch_version=torch.__version__,
        config_hash=config_hash(model.cfg.model),
        weights_hash=weights and file_hash(weights),
        calibration=calibration)


def export_model(model: nn.Module,
                 path: str,
                 precision: str = 'fp32',
                 checkpoint: Optional[str] = None,
                 with_priors: bool = False,
                 calibration_images: Optional[str] = None,
                 calibration_samples: int = 256,
                 check_samples: int = 64,
                 limits: Optional[Tuple[float, float]] = None) -> Parity:
    """Write a model into one file, if that says what the model says.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it, on the
            CPU.
        path (str): The file, .onnx, .pt2 or .pt. It is replaced whole, or
            stays as it is.
        precision (str): 'fp32'; for ONNX 'fp16' or 'int8' too. Defaults to
            'fp32'.
        checkpoint (str, optional): Where its weights are from; their hash is
            kept. Defaults to None.
        with_priors (bool): Whether the file gives the landmarks and parsing
            maps of its priors too, for ONNX. Defaults to False.
        calibration_images (str, optional): A folder of aligned faces to
            calibrate int8 on, and to compare with. Defaults to None, the
            training split.
        calibration_samples (int): Of these, to calibrate. Defaults to 256.
        check_samples (int): Others of these, to compare. Defaults to 64.
        limits (tuple[float, float], optional): The largest difference of
            logits in terms of their spread, and the smallest share of equal
            predictions. Defaults to None, those of :data:`LIMITS`.

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
        _need_onnx()
    elif with_priors:
        raise ValueError(f"with_priors is for ONNX: '{path}' ({kind}) gives "
                         'logits only')
    info = describe(model, precision, checkpoint)
    wanted = calibration_samples if precision == 'int8' else 0
    faces = gather_faces(model.cfg, info.pipeline, wanted + check_samples,
                         calibration_images, precision == 'int8')
    calibrating, checking = _divide(faces.images, wanted)
    expected = reference_logits(model, checking)
    with atomic_path(path) as temporary:
        _write(model, temporary, kind, info, with_priors, calibrating)
        parity = compare(
            load_exported(temporary, run_code=True), checking, expected,
            faces.source)
        _judge(parity, limits or LIMITS[precision], path, precision)
    return parity


def _need_onnx() -> None:
    import_onnxruntime()
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f'writing ONNX needs {error.name}, which is not '
                          'installed: pip install "orsa[deploy]"') from error


def _divide(images: np.ndarray, first: int) -> Tuple[np.ndarray, np.ndarray]:
    """Images to calibrate on, and others, both spread over all."""
    if not first:
        return images[:0], images
    if len(images) < 2:
        raise ValueError('int8 needs two pictures or more, some to calibrate '
                         f'on and some to check, but got {len(images)}')
    share = min(first, len(images) - 1)
    taken = spread(len(images), share) if share < len(images) / 2 else sorted(
        set(range(len(images))) -
        set(spread(len(images),
                   len(images) - share)))
    rest = sorted(set(range(len(images))) - set(taken))
    return images[taken], images[rest]


def _write(model: nn.Module, path: str, kind: str, info: ExportInfo,
           with_priors: bool, calibrating: np.ndarray) -> None:
    deployed = DeployedModel(model, with_priors).eval()
    size = info.image_size
    with torch.no_grad(), fast_priors(model, torch.zeros(1, *size, 3)):
        if kind == 'TorchScript':
            return write_torchscript(deployed, path, size, info)
        if kind == 'torch.export':
            return write_pt2(deployed, path, size, info)
        if info.precision == 'fp32':
            return write_onnx(deployed, path, size, info)
        with tempfile.TemporaryDirectory() as folder:
            whole = osp.join(folder, 'fp32.onnx')
            write_onnx(deployed, whole, size, info)
            if info.precision == 'fp16':
                return to_half(whole, path, info)
            return to_int8(whole, path, info, calibrating)


def _judge(parity: Parity, limits: Tuple[float, float], path: str,
           precision: str) -> None:
    tolerance, least = limits
    # a NaN is no number below it
    if not (parity.relative <= tolerance and parity.equal >= least):
        raise ParityError(
            f"'{path}' was not written: in {precision} it is no longer the "
            f'model. {parity}; allowed are {tolerance:g} of the spread, and '
            f'{least:.0%} equal at least (--tolerance, --min-equal)')


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of exporting."""
    parser.add_argument(
        'config',
        help='a model by its name (orsanet_lite), a config file, or '
        'orsa::NAME.py')
    parser.add_argument(
        'checkpoint', nargs='?', help='its checkpoint; a name has its own')
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE',
        help='what to write: .onnx, .pt2 (torch.export) or .pt (TorchScript)')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='fp16 and int8 are for ONNX (default: %(default)s)')
    parser.add_argument(
        '--with-priors',
        action='store_true',
        help='give landmarks and parsing maps too (ONNX)')
    parser.add_argument(
        '--calibration-images',
        metavar='DIR',
        help='aligned faces to calibrate int8 on and to compare with '
        "(default: the config's training split)")
    parser.add_argument(
        '--calibration-samples',
        type=int,
        default=256,
        help='of these, to calibrate int8 (default: %(default)s)')
    parser.add_argument(
        '--check-samples',
        type=int,
        default=64,
        help='others, to compare with PyTorch (default: %(default)s)')
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest difference of logits, in terms of their spread '
        f'(default: {", ".join(f"{k} {v[0]:g}" for k, v in LIMITS.items())})')
    parser.add_argument(
        '--min-equal',
        type=float,
        help='smallest share of equal predictions '
        f'(default: {", ".join(f"{k} {v[1]:g}" for k, v in LIMITS.items())})')
    parser.add_argument(
        '--allow-untrained',
        action='store_true',
        help='without a checkpoint, export random weights, to measure time')


def load_for_export(
        config: str,
        checkpoint: Optional[str] = None,
        allow_untrained: bool = False) -> Tuple[nn.Module, Optional[str]]:
    """A model and the file of its weights.

    Raises:
        ValueError: If there is no checkpoint and it may not be untrained.
    """
    if looks_like_name(config):
        config, checkpoint = resolve_model(config, checkpoint)
    if checkpoint is None:
        if not allow_untrained:
            raise ValueError(
                f"'{config}' needs a checkpoint: its weights are random "
                'without. --allow-untrained exports them all the same')
        torch.manual_seed(0)
    return init_model(config, checkpoint), checkpoint


def export(args: argparse.Namespace) -> Parity:
    """Export by parsed arguments, see :func:`add_export_arguments`.

    Returns:
        Parity: How well the file says what the model says.

    Raises:
        ParityError: If it does not.
        ValueError: If an argument is wrong, or a checkpoint is refused.
    """
    for name in ('calibration_samples', 'check_samples'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name.replace("_", "-")} should be positive, '
                             f'but got {getattr(args, name)}')
    check_pair(args.out, args.precision)
    model, checkpoint = load_for_export(args.config, args.checkpoint,
                                        args.allow_untrained)
    tolerance, least = LIMITS[args.precision]
    limits = (tolerance if args.tolerance is None else args.tolerance,
              least if args.min_equal is None else args.min_equal)
    parity = export_model(model, args.out, args.precision, checkpoint,
                          args.with_priors, args.calibration_images,
                          args.calibration_samples, args.check_samples, limits)
    print(f'{parity} (allowed: {limits[0]:g} and {limits[1]:.0%})')
    size = osp.getsize(osp.expanduser(args.out)) / 2**20
    print(f'wrote {args.out} ({args.precision}, {size:.2f} MiB)')
    return parity
