# Copyright (c) orsa contributors. All rights reserved.
"""Names and layouts of published weights, converted into orsa's.

Each ``convert_*`` takes a published state dict and returns ours together with
the keys that were left out on purpose. :func:`fit` then compares the result
with the model that takes it.
"""
import os
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn

from orsa.utils.checkpoint import check_finite, load_checkpoint_file
from orsa.utils.classes import checkpoint_classes
from orsa.utils.fileio import atomic_path

State = Dict[str, torch.Tensor]
Converted = Tuple[State, List[str]]


def _ir_unit(match: re.Match) -> str:
    unit = int(match[1])
    stage, first = next((s, f) for s, f in ((2, 7), (1, 3), (0, 0))
                        if unit >= f)  # yapf: disable
    return f'stages.{stage}.{unit - first}.'


_SCALES = dict(l=0, m=1, s=2)
# Of each network the pattern of keys that are left out, then patterns with
# their replacements, applied to a key one after the other.
_RENAMES: Dict[str, Tuple[str, tuple]] = dict(
    # without the output layer, which ORSANet never calls, and a fourth stage
    ir50=(r'(?!input_layer\.|body\.(1?\d|20)\.'
          r'(res_layer\.[0-4]|shortcut_layer)\.)', (
              (r'^input_layer\.', 'stem.'),
              (r'^body\.(\d+)\.', _ir_unit),
              (r'res_layer\.0\.', 'norm1.'),
              (r'res_layer\.1\.', 'conv1.'),
              (r'res_layer\.2\.', 'act.'),
              (r'res_layer\.3\.', 'conv2.'),
              (r'res_layer\.4\.', 'norm2.'),
              (r'shortcut_layer\.', 'shortcut.'),
          )),
    mobilefacenet=(r'output_layer\.', (
        (r'^conv_([345])\.model\.(\d+)\.',
         lambda m: f'stages.{int(m[1]) - 3}.{int(m[2]) + 1}.'),
        (r'^conv1\.', 'stem.0.'),
        (r'^conv2_dw\.', 'stem.1.'),
        (r'^conv_23\.', 'stages.0.0.'),
        (r'^conv_34\.', 'stages.1.0.'),
        (r'^conv_45\.', 'stages.2.0.'),
        (r'^conv_6_sep\.', 'last.'),
        (r'^(stages\.\d+\.\d+)\.conv\.', r'\1.expand.'),
        (r'\.conv_dw\.', '.depthwise.'),
        (r'\.prelu\.', '.activate.'),
        (r'^output_layer\.conv_6_dw\.', 'head.depthwise.'),
        (r'^output_layer\.linear\.', 'head.fc.'),
        (r'^output_layer\.bn\.', 'head.norm.'),
    )),
    # torchvision's swin_b().features: its even entries are patch embedding
    # and mergings, the odd ones the stages; an index table is no weight
    swin=(
        r'(?!0\.\d+\.)|.*relative_position_index$',
        (
            (r'^0\.0\.0\.', 'patch_embed.projection.'),
            (r'^0\.0\.2\.', 'patch_embed.norm.'),
            (r'^0\.([1357])\.(\d+)\.',
             lambda m: f'stages.{int(m[1]) // 2}.blocks.{m[2]}.'),
            # mmpretrain merges at the end of the stage before
            (r'^0\.([246])\.',
             lambda m: f'stages.{int(m[1]) // 2 - 1}.downsample.'),
            (r'\.attn\.relative_position', '.attn.w_msa.relative_position'),
            (r'\.attn\.(qkv|proj)\.', r'.attn.w_msa.\1.'),
            (r'\.mlp\.0\.', '.ffn.layers.0.0.'),
            (r'\.mlp\.3\.', '.ffn.layers.1.'),
        )),
    # without the class tokens, which it has one by one
    segface_decoder=(r'face_decoder\.\w+_token\.weight$', (
        (r'^linear_c\.(\d+)\.proj\.', r'projections.\1.'),
        (r'^linear_fuse\.', 'fuse.'),
        (r'^pe_layer\.positional_encoding_gaussian_matrix$', 'frequencies'),
        (r'^face_decoder\.transformer\.', ''),
        (r'^face_decoder\.output_upscaling\.', 'upscale.'),
        (r'^face_decoder\.output_hypernetwork_mlps\.layers\.(\d+)\.',
         lambda m: f'mask_mlp.{2 * int(m[1])}.'),
        (r'^norm_final_attn\.', 'final_norm.'),
        (r'^final_attn_token_to_image\.', 'final_attn.'),
        (r'^(layers\.\d+)\.cross_attn_token_to_image\.', r'\1.token_attn.'),
        (r'^(layers\.\d+)\.cross_attn_image_to_token\.', r'\1.map_attn.'),
        (r'^(layers\.\d+\.mlp)\.lin1\.', r'\1.0.'),
        (r'^(layers\.\d+\.mlp)\.lin2\.', r'\1.2.'),
        (r'^(.*_attn)\.([qkv])_proj\.', r'\1.\2.'),
        (r'^(.*_attn)\.out_proj\.', r'\1.proj.'),
    )),
    guidance=(r'$^', (
        (r'^norm_(\d)\.mlp_shared\.', r'spade\1.shared.'),
        (r'^norm_(\d)\.mlp_(gamma|beta)\.', r'spade\1.\2.'),
        (r'^conv_(\d)\.bias$', r'conv\1.bias'),
        (r'^conv_(\d)\.weight_orig$',
         r'conv\1.parametrizations.weight.original'),
        (r'^conv_(\d)\.weight_([uv])$',
         r'conv\1.parametrizations.weight.0._\2'),
    )),
    # upsamplings are named by the scale that is added to: S joins M, M joins L
    interaction=(r'cls_token$', (
        (r'^downsample_([ms])\.',
         lambda m: f'downsamples.{_SCALES[m[1]] - 1}.'),
        (r'^blocks\.(\d+)\.upsample_([ms])\.',
         lambda m: f'levels.{m[1]}.upsamples.{_SCALES[m[2]] - 1}.'),
        (r'^blocks\.(\d+)\.block_([lms])\.',
         lambda m: f'levels.{m[1]}.fusions.{_SCALES[m[2]]}.'),
        (r'(fusions\.\d)\.scale$', r'\1.landmark_scale'),
        (r'(fusions\.\d)\.attn_img\.', r'\1.'),
        (r'(fusions\.\d)\.conv\.', r'\1.mix.'),
        (r'(fusions\.\d)\.mlp\.fc1\.', r'\1.mlp.0.'),
        (r'(fusions\.\d)\.mlp\.fc2\.', r'\1.mlp.2.'),
    )),
    same=(r'$^', ()))
# in the order of LaPa's classes
_SEGFACE_TOKENS = ('background', 'face', 'leftbro', 'rightbro', 'lefteye',
                   'righteye', 'nose', 'upperlip', 'innermouth', 'lowerlip',
                   'hair')
# modules of the official ORSANet: their place in ours, and their conversion
_OFFICIAL = {
    'ir_back.': ('backbone.image_encoder.', 'ir50'),
    'face_landback.': ('backbone.landmark_prior.model.', 'mobilefacenet'),
    'face_segment.backbone.': ('backbone.parsing_prior.model.', 'swin'),
    'pyramid_fuse.': ('neck.cross_interaction.', 'interaction'),
    'seg_fusion.': ('neck.semantic_guidance.', 'guidance'),
    'seg_sample.': ('neck.semantic_guidance.embed.', 'same'),
    'ir_layer.': ('backbone.adapter.proj.', 'same'),
    'se_block.linear1.': ('head.gate.0.', 'same'),
    'se_block.linear2.': ('head.gate.2.', 'same'),
    'head.linear.': ('head.fc.', 'same'),
}


class ConversionError(ValueError):
    """The file lacks what the model needs, or has it in another shape."""


@dataclass
class Report:
    """What a conversion did."""
    matched: List[str] = field(default_factory=list)
    dropped: List[str] = field(default_factory=list)
    missed: List[str] = field(default_factory=list)
    wrong: List[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        for name in ('matched', 'dropped', 'missed', 'wrong'):
            keys = getattr(self, name)
            shown = '' if name == 'matched' or not keys else ': ' + ', '.join(
                keys[:6]) + (', ...' if len(keys) > 6 else '')
            lines.append(f'{name:<8} {len(keys):>5}{shown}')
        return '\n'.join(lines)


def strip_prefix(state: State, prefix: str) -> State:
    """The entries under a prefix, without it."""
    return {
        k[len(prefix):]: v
        for k, v in state.items() if k.startswith(prefix)
    }


def convert_state(state: State,
                  network: str,
                  left_out: Optional[str] = None) -> Converted:
    """Convert the names and layouts of a published network.

    Args:
        state (dict): The published entries.
        network (str): 'ir50', 'mobilefacenet', 'swin' (as under ``backbone.``
            of SegFace), 'segface_decoder' (without its class tokens),
            'guidance' (as under ``seg_fusion.``), 'interaction' (as under
            ``pyramid_fuse.``) or 'same'.
        left_out (str, optional): Pattern of keys that are left out. Defaults
            to None, that of the network: what ORSANet does not use.

    Returns:
        tuple[dict, list[str]]: Our entries, and the keys that were left out.
    """
    default, renames = _RENAMES[network]
    new, dropped = {}, []
    for key, value in state.items():
        if re.match(default if left_out is None else left_out, key):
            dropped.append(key)
            continue
        for pattern, name in renames:
            key = re.sub(pattern, name, key)
        if network == 'swin' and '.downsample.' in key:
            value = _unfold_order(value)
        new[key] = value
    return new, dropped


def _unfold_order(value: torch.Tensor) -> torch.Tensor:
    """Reorder the last axis, 4C, of a patch merging for OpenMMLab's.

    torchvision joins the neighbours (0,0), (1,0), (0,1), (1,1) of (row,
    column) block by block; OpenMMLab unfolds channel by channel.
    """
    blocks = value.reshape(*value.shape[:-1], 4, -1)[..., [0, 2, 1, 3], :]
    return blocks.transpose(-1, -2).reshape(value.shape)


def convert_segface_decoder(state: State) -> State:
    """SegFace's mask decoder for LaPa, keys as beside ``backbone.``.

    Raises:
        ConversionError: If the class tokens are not LaPa's eleven.
    """
    new, keys = convert_state(state, 'segface_decoder')
    found = {re.match(r'face_decoder\.(\w+)_token', k)[1]: k for k in keys}
    if set(found) != set(_SEGFACE_TOKENS):
        raise ConversionError(
            'this is no mask decoder of SegFace for LaPa: of its class tokens '
            f'{sorted(set(_SEGFACE_TOKENS) - set(found))} are missing, and '
            f'{sorted(set(found) - set(_SEGFACE_TOKENS))} are unknown')
    new['class_tokens'] = torch.cat([state[found[t]] for t in _SEGFACE_TOKENS])
    return new


def convert_segface(state: State) -> Converted:
    """All of SegFace for LaPa, into an ``mmseg.EncoderDecoder``.

    Raises:
        ConversionError: If there is an entry that SegFace does not have, or
            the class tokens are not LaPa's.
    """
    swin, left = convert_state(strip_prefix(state, 'backbone.'), 'swin')
    unknown = [
        f'backbone.{k}' for k in left
        if not k.startswith('1.') and not k.endswith('relative_position_index')
    ]
    if unknown:
        raise ConversionError(f'{len(unknown)} entries are unknown to SegFace '
                              f'with a Swin-B: {unknown[:4]}')
    decoder = convert_segface_decoder({
        k: v
        for k, v in state.items() if not k.startswith('backbone.')
    })
    new = {f'backbone.{k}': v for k, v in swin.items()}
    new.update({f'decode_head.{k}': v for k, v in decoder.items()})
    return new, [f'backbone.{k}' for k in left]


def convert_official(state: State) -> Converted:
    """A complete official checkpoint, keys without ``module.``."""
    new, dropped = {}, []
    for source, (target, network) in _OFFICIAL.items():
        entries, left = convert_state(strip_prefix(state, source), network)
        new.update({target + k: v for k, v in entries.items()})
        dropped += [source + k for k in left]
    dropped += [k for k in state if not k.startswith(tuple(_OFFICIAL))]
    return new, dropped


def fit(state: State, dropped: Sequence[str], model: nn.Module) -> Report:
    """Compare a converted state dict with the model that takes it.

    Afterwards ``state`` has exactly the model's entries. Integers (counters
    of batches, index tables) need not be in a file: the model's are taken.

    Args:
        state (dict): The converted entries, changed in place.
        dropped (Sequence[str]): Keys left out on purpose.
        model (nn.Module): The model.

    Returns:
        Report: What became of every key.

    Raises:
        ConversionError: If a weight is missing or of another shape.
    """
    own = model.state_dict()
    report = Report(dropped=list(dropped))
    for key, value in own.items():
        if key not in state:
            if value.is_floating_point():
                report.missed.append(key)
            else:
                state[key] = value.clone()
        elif tuple(state[key].shape) != tuple(value.shape):
            report.wrong.append(f'{key} {tuple(state[key].shape)} instead of '
                                f'{tuple(value.shape)}')
        else:
            report.matched.append(key)
    for key in [k for k in state if k not in own]:
        report.dropped.append(key)
        del state[key]
    if report.missed or report.wrong:
        raise ConversionError(
            f'the model cannot take this file: {len(report.missed)} entries '
            f'are missing {report.missed[:4]}, {len(report.wrong)} are of '
            f'another shape {report.wrong[:4]}')
    return report


def read_state(path: str, *names: str) -> State:
    """Read a published file: a state dict, flat or under one of ``names``.

    Raises:
        ConversionError: If there is no state dict in it.
    """
    content = load_checkpoint_file(path)
    for name in names:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not any(
            isinstance(v, torch.Tensor) for v in content.values()):
        keys = list(content)[:5] if isinstance(content, dict) else content
        raise ConversionError(
            f"'{path}' holds no weights under {' or '.join(names)}, only "
            f'{keys}')
    state = {
        k.removeprefix('module.'): v
        for k, v in content.items() if isinstance(v, torch.Tensor)
    }
    check_finite(state, path)
    return state


def write_state(state: State,
                path: str,
                classes: Optional[Sequence[str]] = None) -> None:
    """Write weights and class names as MMEngine's checkpoints are."""
    meta = dict(dataset_meta=dict(classes=tuple(classes))) if classes else {}
    with atomic_path(path) as temporary:
        # by a path torch refuses a name without an ending
        with open(temporary, 'wb') as file:
            torch.save(dict(meta=meta, state_dict=state), file)


def average(states: Sequence[State]) -> State:
    """The mean of the weights of several checkpoints of one training.

    Of `Model soups <https://arxiv.org/abs/2203.05482>`_: where they lie in one
    basin it is often right on more kinds of images than each of them.

    Args:
        states (Sequence[dict]): Of the same model.

    Returns:
        dict: Means of floats; other entries are those of the last one.

    Raises:
        ConversionError: If entries or shapes differ.
    """
    shapes = [{k: v.shape for k, v in state.items()} for state in states]
    if any(one != shapes[0] for one in shapes):
        raise ConversionError('only checkpoints of the same model can be '
                              'averaged, but their entries or shapes differ')
    return {
        key:
        torch.stack([state[key].double()
                     for state in states]).mean(0).to(last.dtype)
        if last.is_floating_point() else last
        for key, last in states[-1].items()
    }


def publish(src: Union[str, Sequence[str]],
            dst: str,
            half: bool = True) -> int:
    """Reduce a training checkpoint to its weights and class names.

    Args:
        src (str | Sequence[str]): A checkpoint of ``tools/train.py``, or
            several, whose weights are averaged (:func:`average`).
        dst (str): The file to write.
        half (bool): Whether to store floats as float16; they become float32
            again when loaded.

    Returns:
        int: Size of the new file in bytes.

    Raises:
        ConversionError: If a weight is not finite, or too large for float16,
            or the checkpoints are of several models.
    """
    dst = os.path.expanduser(dst)
    sources = [src] if isinstance(src, str) else list(src)
    contents = [load_checkpoint_file(path) for path in sources]
    classes = [checkpoint_classes(one) for one in contents]
    if any(one != classes[-1] for one in classes):
        raise ConversionError(f'the checkpoints have the classes {classes}: '
                              'their outputs are not the same')
    state = average([one.get('state_dict', one) for one in contents])
    new = {}
    for key, value in state.items():
        if value.is_floating_point():
            value = value.half() if half else value
            if not torch.isfinite(value).all():
                names = "', '".join(sources)
                raise ConversionError(f"'{names}': {key} is not finite"
                                      f"{' in float16' if half else ''}")
        new[key] = value.contiguous().clone()
    write_state(new, dst, classes[-1])
    return os.path.getsize(dst)
