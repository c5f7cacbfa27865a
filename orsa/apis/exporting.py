# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/deployment/export.py`` does, for use from Python.

A model and its priors become one file that needs neither config nor
checkpoint, see :mod:`orsa.apis.exported` for reading it. The input is what
OpenCV gives: crops (N, H, W, 3), BGR uint8, of the size that the model works
at; colours are exchanged and normalised inside.
"""
import argparse
import contextlib
import dataclasses
import logging
import os.path as osp
import sys
import tempfile
import warnings
from functools import partial
from typing import Iterator, List, Optional, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmpretrain.models import ClsDataPreprocessor
from scipy.special import softmax

from orsa.utils.checkpoint import zoo_path
from orsa.utils.configs import config_hash
from orsa.utils.fileio import atomic_path
from orsa.utils.pretrained import local_file
from orsa.utils.prior_cache import file_hash
from orsa.version import __version__
from .calibration import calibration_file, load_calibration
from .export_faces import crop_pipeline, crop_size, gather_faces, spread
from .exported import (IMAGES, LANDMARKS, LOGITS, META_FILE, META_KEY, PARSING,
                       ExportedModel, ExportInfo, file_format,
                       import_onnxruntime, load_exported)
from .inference import locate_from_edge
from .model import init_model
from .zoo import looks_like_name, resolve_model

PRECISIONS = ('fp32', 'fp16', 'int8')
# What an export may differ from PyTorch by: the largest difference of logits
# in terms of their range over all images, and the share of images for which
# the first expression is the same.
LIMITS = dict(fp32=(1e-4, 0.99), fp16=(0.02, 0.98), int8=(0.15, 0.9))
# What becomes integers. Sums, norms and softmax stay float: they cost little
# time, and lose the most.
_QUANTISED = ['Conv', 'Gemm', 'MatMul']
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


class DeployedModel(nn.Module):
    """A classifier with what its data preprocessor does inside.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        with_priors (bool): Whether to give landmarks and parsing maps, where
            there are priors that know them. Defaults to False.

    Raises:
        TypeError: If its data preprocessor is none of mmpretrain's
            ``ClsDataPreprocessor``.
    """

    def __init__(self, model: nn.Module, with_priors: bool = False):
        super().__init__()
        preprocessor = model.data_preprocessor
        if not isinstance(preprocessor, ClsDataPreprocessor):
            raise TypeError('only models with a ClsDataPreprocessor can be '
                            f'exported, not {type(preprocessor).__name__}')
        self.model = model
        self.flip = bool(preprocessor.to_rgb)
        mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        if preprocessor._enable_normalize:
            mean, std = preprocessor.mean, preprocessor.std
        self.register_buffer('mean', mean.clone(), persistent=False)
        self.register_buffer('std', std.clone(), persistent=False)
        self.priors = _priors_of(model) if with_priors else {}

    @property
    def outputs(self) -> List[str]:
        """Names of what :meth:`forward` gives."""
        return [LOGITS, *self.priors]

    def forward(self, images: torch.Tensor):
        """Answer.

        Args:
            images (Tensor): (N, H, W, 3), BGR uint8.

        Returns:
            Tensor | tuple[Tensor]: Logits (N, C); with priors then landmarks
            (N, K, 3), as shares of the sides, and maps (N, P, h, w).
        """
        x = images.permute(0, 3, 1, 2)
        if self.flip:
            x = x.flip(1)
        x = (x.float() - self.mean) / self.std
        logits = self.model(x, mode='tensor')
        if not self.priors:
            return logits
        return (logits, *(ask(x) for ask in self.priors.values()))


def _priors_of(model: nn.Module) -> dict:
    """Output: how to ask for it."""
    found = {}
    prior = getattr(model.backbone, 'landmark_prior', None)
    if getattr(prior, 'can_locate', False):
        found[LANDMARKS] = partial(locate_from_edge, prior)
    prior = getattr(model.backbone, 'parsing_prior', None)
    if getattr(prior, 'can_parse', False):
        found[PARSING] = prior.parse
    if not found:
        raise ValueError('with_priors: the model has no prior that knows '
                         'landmarks or parts of the face')
    return found


@contextlib.contextmanager
def _fast_priors(model: nn.Module, images: torch.Tensor) -> Iterator[None]:
    """Let frozen priors be their simpler copies, where these say the same."""
    from orsa.models.priors import FrozenPrior
    from orsa.utils.fast_copy import TOLERANCE, fast_copy, off_by
    own = [(m, m.model) for m in model.modules() if isinstance(m, FrozenPrior)]
    blank = torch.rand(1, 3, *images.shape[1:3])
    try:
        for prior, original in own:
            expected = prior(blank)
            try:
                prior.model = fast_copy(original)
                good = off_by(prior(blank), expected) <= TOLERANCE
            except (AttributeError, RuntimeError, ValueError):
                good = False  # its parts hang together in other ways
            if not good:
                prior.model = original
        yield
    finally:
        for prior, original in own:
            prior.model = original


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of themselves: parity is checked."""
    names = ('torch.onnx', 'torch.export', 'onnxscript', 'onnx_ir', 'root')
    loggers = [
        logging.getLogger(None if name == 'root' else name) for name in names
    ]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for one, level in zip(loggers, levels):
            one.setLevel(level)


def _program(deployed: DeployedModel,
             image_size: Tuple[int, int]) -> torch.export.ExportedProgram:
    # two: with one image torch.export takes batches for single ones
    images = torch.zeros(2, *image_size, 3, dtype=torch.uint8)
    batch = torch.export.Dim('batch')
    try:
        return torch.export.export(
            deployed, (images, ), dynamic_shapes=({
                0: batch
            }, ))
    except torch._dynamo.exc.UserError as error:
        raise ValueError(
            'this model cannot be exported for batches of any size: somewhere '
            'the number of images is taken as a plain number, such as by '
            f'len(x) of a tensor ({error})') from error


def write_onnx(deployed: DeployedModel, path: str, image_size: Tuple[int, int],
               info: ExportInfo) -> None:
    """Write ONNX in float32, of any batch size.

    Args:
        deployed (DeployedModel): The model.
        path (str): The file.
        image_size (tuple[int, int]): Height and width of the images.
        info (ExportInfo): What the file says of itself.
    """
    import onnx
    with torch.no_grad(), _quiet():
        # goes by way of torch.export, which says so if a batch of another
        # size would be refused
        program = torch.onnx.export(
            _program(deployed, image_size),
            dynamo=True,
            external_data=False,
            input_names=[IMAGES],
            output_names=deployed.outputs,
            verbose=False)
    model = program.model_proto
    _clean(model)
    _save_onnx(model, path, info)
    onnx.checker.check_model(path)


def _clean(model) -> None:
    """Take out where the code lies that was exported, and name the batch."""
    graph = model.graph
    for one in (*graph.node, *graph.initializer, *graph.input, *graph.output,
                graph):
        one.doc_string = ''
        del one.metadata_props[:]
    del graph.value_info[:]
    for one in (*graph.input, *graph.output):
        one.type.tensor_type.shape.dim[0].dim_param = 'batch'


def _save_onnx(model, path: str, info: ExportInfo) -> None:
    import onnx
    onnx.helper.set_model_props(model, {META_KEY: info.dumps()})
    onnx.save(model, path)


def to_half(source: str, path: str, info: ExportInfo) -> None:
    """Write an ONNX file in float16; its input and outputs stay as they are.

    Args:
        source (str): One in float32.
        path (str): The file to write.
        info (ExportInfo): What it says of itself.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    with _quiet():
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    _save_onnx(model, path, info)


class _Reader:
    """Hands images to onnxruntime's calibration, batch by batch."""

    def __init__(self, images: np.ndarray):
        self._batches = iter(
            [images[i:i + _BATCH] for i in range(0, len(images), _BATCH)])

    def get_next(self) -> Optional[dict]:
        batch = next(self._batches, None)
        return None if batch is None else {IMAGES: batch}


def _beside_logits(graph) -> List[str]:
    """Names of nodes that logits do not depend on: heads of priors.

    They are small, and landmarks, maxima of their output, jump if it is
    rounded.
    """
    needed = {LOGITS}
    beside = []
    for node in reversed(graph.node):  # which come after what they need
        if needed.intersection(node.output):
            needed.update(node.input)
        else:
            beside.append(node.name)
    return beside


def to_int8(source: str, path: str, info: ExportInfo,
            images: np.ndarray) -> None:
    """Write an ONNX file whose products are of 8-bit integers.

    Onnxruntime's static quantisation: weights by channel, what is multiplied
    with them in the range that it has over ``images``.

    Args:
        source (str): One in float32.
        path (str): The file to write.
        info (ExportInfo): What it says of itself.
        images (np.ndarray): (N, H, W, 3), of faces that nothing is tested on.
    """
    import onnx
    from onnxruntime.quantization import (QuantFormat, QuantType,
                                          quantize_static)
    from onnxruntime.quantization.shape_inference import quant_pre_process
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = osp.join(folder, 'prepared.onnx')
        # symbolic shapes fail for some graphs, and are not needed
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=_beside_logits(onnx.load(prepared).graph),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8)
    _save_onnx(onnx.load(path), path, info)


def write_pt2(deployed: DeployedModel, path: str, image_size: Tuple[int, int],
              info: ExportInfo) -> None:
    """Write a file of ``torch.export``; arguments as :func:`write_onnx`."""
    with torch.no_grad(), _quiet():
        program = _program(deployed, image_size)
        for node in program.graph.nodes:
            node.meta.pop('stack_trace', None)
        torch.export.save(program, path, extra_files={META_FILE: info.dumps()})


def write_torchscript(deployed: DeployedModel, path: str,
                      image_size: Tuple[int, int], info: ExportInfo) -> None:
    """Write TorchScript by tracing; arguments as :func:`write_onnx`."""
    images = torch.zeros(2, *image_size, 3, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        traced = torch.jit.trace(deployed, images, check_trace=False)
        torch.jit.save(
            torch.jit.freeze(traced.eval()),
            path,
            _extra_files={META_FILE: info.dumps()})


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
        classes=model.dataset_meta['classes'],
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
    with torch.no_grad(), _fast_priors(model, torch.zeros(1, *size, 3)):
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

    Exits with 1 and one line if something is wrong.
    """
    try:
        for name in ('calibration_samples', 'check_samples'):
            if getattr(args, name) < 1:
                raise ValueError(f'--{name.replace("_", "-")} should be '
                                 f'positive, but got {getattr(args, name)}')
        check_pair(args.out, args.precision)
        model, checkpoint = load_for_export(args.config, args.checkpoint,
                                            args.allow_untrained)
        tolerance, least = LIMITS[args.precision]
        limits = (tolerance if args.tolerance is None else args.tolerance,
                  least if args.min_equal is None else args.min_equal)
        parity = export_model(model, args.out, args.precision, checkpoint,
                              args.with_priors, args.calibration_images,
                              args.calibration_samples, args.check_samples,
                              limits)
    except (ImportError, OSError, ParityError, TypeError, ValueError) as error:
        sys.exit(f'{type(error).__name__}: {" ".join(str(error).split())}')
    print(f'{parity} (allowed: {limits[0]:g} and {limits[1]:.0%})')
    size = osp.getsize(osp.expanduser(args.out)) / 2**20
    print(f'wrote {args.out} ({args.precision}, {size:.2f} MiB)')
    return parity
