# Copyright (c) orsa contributors. All rights reserved.
"""How a model with its priors becomes ONNX, torch.export or TorchScript."""
import contextlib
import logging
import os.path as osp
import tempfile
import warnings
from functools import partial
from types import SimpleNamespace
from typing import Iterator, List, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmpretrain.models import ClsDataPreprocessor

from .export_info import (EMBEDDING, IMAGES, LANDMARKS, LOGITS, META_FILE,
                          META_KEY, PARSING, ExportInfo)

# What becomes integers. Sums, norms and softmax stay float: they cost little
# time, and lose the most.
_QUANTISED = ['Conv', 'Gemm', 'MatMul']
# images at a time that integers are fitted to
_BATCH = 8


class DeployedModel(nn.Module):
    """A classifier with its data preprocessor inside.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.
        with_priors (bool): Whether to give embeddings, and landmarks and
            parsing maps, where there are priors for them.

    Raises:
        TypeError: If its data preprocessor is none of mmpretrain's
            ``ClsDataPreprocessor``.
        ValueError: If there are no such priors.
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
        self.register_buffer('pixel_mean', mean.clone(), persistent=False)
        self.register_buffer('pixel_std', std.clone(), persistent=False)
        # heavy, and needed for writing alone
        from orsa.models.priors import locate_from_edge
        self.priors = {}  # output: function that predicts it
        landmark, parsing = (
            with_priors and getattr(model.backbone, f'{name}_prior', None)
            for name in ('landmark', 'parsing'))
        if getattr(landmark, 'can_locate', False):
            self.priors[LANDMARKS] = partial(locate_from_edge, landmark)
        if getattr(parsing, 'can_parse', False):
            self.priors[PARSING] = parsing.parse
        if with_priors and not self.priors:
            raise ValueError('with_priors: the model has no prior that '
                             'predicts landmarks or face regions')

    @property
    def outputs(self) -> List[str]:
        """Names of what :meth:`forward` gives."""
        return [LOGITS, *([EMBEDDING] if self.priors else []), *self.priors]

    def forward(self, images: torch.Tensor):
        """Predict.

        Args:
            images (Tensor): (N, H, W, 3), BGR uint8.

        Returns:
            Tensor | tuple[Tensor]: Logits (N, C); with priors then embeddings
            (N, E), landmarks (N, K, 3), as fractions of the sides, and maps
            (N, P, h, w).
        """
        x = images.permute(0, 3, 1, 2)
        if self.flip:
            x = x.flip(1)
        x = (x.float() - self.pixel_mean) / self.pixel_std
        if not self.priors:
            return self.model(x, mode='tensor')
        feats = self.model.extract_feat(x)
        head = self.model.head
        return (head(feats), head.pre_logits(feats),
                *(predict(x) for predict in self.priors.values()))


@contextlib.contextmanager
def fast_priors(model: nn.Module, image_size: Tuple[int,
                                                    int]) -> Iterator[None]:
    """Replace frozen priors by their faster copies, where these are equal."""
    # heavy, and needed for writing alone
    from orsa.models.priors import FrozenPrior
    from orsa.models.utils.fast_copy import (TOLERANCE, fast_copy,
                                             relative_error)
    own = [(m, m.model) for m in model.modules() if isinstance(m, FrozenPrior)]
    blank = torch.rand(1, 3, *image_size)
    try:
        for prior, original in own:
            expected = prior(blank)
            try:
                prior.model = fast_copy(original)
                equal = relative_error(prior(blank), expected) <= TOLERANCE
            except (AttributeError, RuntimeError, ValueError):
                equal = False  # its modules are connected in other ways
            if not equal:
                prior.model = original
        yield
    finally:
        for prior, original in own:
            prior.model = original


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' own messages: parity is checked."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def _blank_images(info: ExportInfo) -> torch.Tensor:
    # two: with one image torch.export takes batches for single ones
    return torch.zeros(2, *info.image_size, 3, dtype=torch.uint8)


def _program(deployed: DeployedModel,
             info: ExportInfo) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim('batch')}, )
    try:
        return torch.export.export(
            deployed, (_blank_images(info), ), dynamic_shapes=shapes)
    except torch._dynamo.exc.UserError as error:
        raise ValueError(
            'this model cannot be exported for batches of any size: somewhere '
            'the number of images is taken as a plain number, such as by '
            f'len(x) of a tensor ({error})') from error


def write_onnx(deployed: DeployedModel,
               path: str,
               info: ExportInfo,
               optimize: bool = True) -> None:
    """Write ONNX in float32, of any batch size.

    Args:
        deployed (DeployedModel): The model.
        path (str): The file.
        info (ExportInfo): What the file states about itself.
        optimize (bool): Whether to fold batch normalisation and other
            constants into weights, as onnxruntime does when it reads a file.
            Defaults to True; otherwise small constants alone are folded.
    """
    import onnx  # optional
    with torch.no_grad(), _quiet():
        # by torch.export, which refuses batches of a fixed size
        program = torch.onnx.export(
            _program(deployed, info),
            dynamo=True,
            external_data=False,
            optimize=optimize,
            input_names=[IMAGES],
            output_names=deployed.outputs,
            verbose=False)
        if not optimize:
            _fold_small(program.model)
        model = program.model_proto
    # no paths of the code that was exported; the batch has a name
    graph = model.graph
    for one in (*graph.node, *graph.initializer, *graph.input, *graph.output,
                graph):
        one.doc_string = ''
        del one.metadata_props[:]
    del graph.value_info[:]
    for one in (*graph.input, *graph.output):
        one.type.tensor_type.shape.dim[0].dim_param = 'batch'
    _save_onnx(model, path, info)
    onnx.checker.check_model(path)


def _fold_small(model) -> None:
    """Fold what the exporter computes anew for every image, as biases of 0.

    Onnxruntime would fold no batch normalisation behind it. Large weights stay
    as they are, those of linear layers, which are transposed, too.
    """
    # optional, of onnxscript
    import onnx_ir.passes.common as passes
    from onnxscript.optimizer import fold_constants
    fold_constants(
        model,
        input_size_limit=256,
        should_fold=lambda node: None
        if node.op_type != 'Transpose' else False)
    for one in (passes.RemoveUnusedNodesPass(),
                passes.LiftConstantsToInitializersPass(True, 0),
                passes.DeduplicateInitializersPass(),
                passes.CommonSubexpressionEliminationPass()):
        one(model)


def _save_onnx(model, path: str, info: ExportInfo) -> None:
    import onnx  # optional
    onnx.helper.set_model_props(model, {META_KEY: info.dumps()})
    onnx.save(model, path)


def write_part(source: str, path: str, output: str) -> None:
    """Write what one output of an ONNX file needs, with the same metadata.

    Args:
        source (str): The file.
        path (str): The file to write, in the same folder where weights are
            read from another.
        output (str): The name of the output.
    """
    import onnx  # optional
    whole = onnx.load(source, load_external_data=False)
    part = onnx.utils.Extractor(whole).extract_model([IMAGES], [output])
    part.metadata_props.extend(whole.metadata_props)
    # onnx.save would gather the references
    with open(path, 'wb') as file:
        file.write(part.SerializeToString())


def to_half(source: str, path: str, info: ExportInfo) -> None:
    """Write an ONNX file in float16; its input and outputs stay as they are.

    Args:
        source (str): One in float32.
        path (str): The file to write.
        info (ExportInfo): What it states about itself.
    """
    import onnx  # optional
    from onnxruntime.transformers.float16 import convert_float_to_float16
    with _quiet():
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    _save_onnx(model, path, info)


def _beside_logits(graph) -> List[str]:
    """Names of nodes that logits do not need: heads of priors, kept exact."""
    needed, beside = {LOGITS}, []
    for node in reversed(graph.node):  # which come after what they need
        if needed.intersection(node.output):
            needed.update(node.input)
        else:
            beside.append(node.name)
    return beside


def _after_resize(graph) -> List[str]:
    """Nodes that take what a Resize gives.

    Onnxruntime would move the rounding before it, and interpolate integers.
    """
    resized = {
        name
        for node in graph.node if node.op_type == 'Resize'
        for name in node.output
    }
    return [node.name for node in graph.node if resized & {*node.input}]


def to_int8(source: str, path: str, info: ExportInfo,
            images: np.ndarray) -> None:
    """Write an ONNX file whose products are of 8-bit integers.

    Onnxruntime's static quantisation: weights by channel, activations in the
    range that they have over ``images``.

    Args:
        source (str): One in float32.
        path (str): The file to write.
        info (ExportInfo): What it states about itself.
        images (np.ndarray): (N, H, W, 3), of faces that nothing is tested on.
    """
    import onnx  # optional
    from onnxruntime.quantization import (QuantFormat, QuantType,
                                          quantize_static)
    from onnxruntime.quantization.shape_inference import quant_pre_process
    batches = iter(
        dict(images=images[i:i + _BATCH])
        for i in range(0, len(images), _BATCH))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = osp.join(folder, 'prepared.onnx')
        # symbolic shapes fail for some graphs, and are not needed
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        quantize_static(
            prepared,
            path,
            SimpleNamespace(get_next=lambda: next(batches, None)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=[*_beside_logits(graph), *_after_resize(graph)],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8)
    _save_onnx(onnx.load(path), path, info)


def write_pt2(deployed: DeployedModel, path: str, info: ExportInfo) -> None:
    """Write a file of ``torch.export``; arguments as :func:`write_onnx`."""
    with torch.no_grad(), _quiet():
        program = _program(deployed, info)
        for node in program.graph.nodes:
            node.meta.pop('stack_trace', None)
        torch.export.save(program, path, extra_files={META_FILE: info.dumps()})


def write_torchscript(deployed: DeployedModel, path: str,
                      info: ExportInfo) -> None:
    """Write TorchScript by tracing; arguments as :func:`write_onnx`."""
    with torch.no_grad(), _quiet():
        traced = torch.jit.trace(
            deployed, _blank_images(info), check_trace=False)
        torch.jit.save(
            torch.jit.freeze(traced.eval()),
            path,
            _extra_files={META_FILE: info.dumps()})


WRITERS = {
    'onnx': write_onnx,
    'torch.export': write_pt2,
    'TorchScript': write_torchscript
}
