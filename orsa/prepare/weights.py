# Copyright (c) orsa contributors. All rights reserved.
"""Names and layouts of published weights, translated into orsa's.

Each ``convert_*`` takes a published state dict and returns ours together with
the keys that were left out on purpose. :func:`fit` then holds the result
against the model that shall take it.
"""
import os
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn

from orsa.utils.checkpoint import check_finite, load_checkpoint_file
from orsa.utils.classes import checkpoint_classes
from orsa.utils.fileio import atomic_path

State = Dict[str, torch.Tensor]
Converted = Tuple[State, List[str]]

_IR50_STAGES = ((0, 3), (3, 7), (7, 21))
_IR_LAYERS = {
    'res_layer.0': 'norm1',
    'res_layer.1': 'conv1',
    'res_layer.2': 'act',
    'res_layer.3': 'conv2',
    'res_layer.4': 'norm2',
    'shortcut_layer': 'shortcut',
}
_MOBILE_LAYERS = (
    (r'^conv1\.', 'stem.0.'),
    (r'^conv2_dw\.', 'stem.1.'),
    (r'^conv_23\.', 'stages.0.0.'),
    (r'^conv_34\.', 'stages.1.0.'),
    (r'^conv_45\.', 'stages.2.0.'),
    (r'^conv_6_sep\.', 'last.'),
)
_SWIN_LAYERS = (
    (r'^attn\.relative_position', 'attn.w_msa.relative_position'),
    (r'^attn\.(qkv|proj)\.', r'attn.w_msa.\1.'),
    (r'^mlp\.0\.', 'ffn.layers.0.0.'),
    (r'^mlp\.3\.', 'ffn.layers.1.'),
)
# SegFace's decoder without the class tokens, which it keeps one by one
_SEGFACE_LAYERS = (
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
)
# in the order of LaPa's classes
_SEGFACE_TOKENS = ('background', 'face', 'leftbro', 'rightbro', 'lefteye',
                   'righteye', 'nose', 'upperlip', 'innermouth', 'lowerlip',
                   'hair')


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


def convert_ir50(state: State) -> Converted:
    """IR-50, keys as under ``ir_back.`` or in ``ir50.pth``.

    Left out: the output layer, which ORSANet never calls, and the units of a
    fourth stage (``body.21`` to ``body.23``).
    """
    new, dropped = {}, []
    for key, value in state.items():
        if key.startswith('input_layer.'):
            new['stem.' + key[len('input_layer.'):]] = value
            continue
        found = re.match(r'body\.(\d+)\.(.+)', key)
        place = found and _ir_place(int(found[1]))
        if not place:
            dropped.append(key)
            continue
        rest = found[2]
        for old, layer in _IR_LAYERS.items():
            if rest.startswith(old + '.'):
                new[f'stages.{place}.{layer}{rest[len(old):]}'] = value
                break
        else:
            dropped.append(key)
    return new, dropped


def _ir_place(unit: int) -> Optional[str]:
    for stage, (first, end) in enumerate(_IR50_STAGES):
        if first <= unit < end:
            return f'{stage}.{unit - first}'
    return None


def convert_mobilefacenet(state: State, with_head: bool = False) -> Converted:
    """MobileFaceNet, keys as under ``face_landback.``.

    Args:
        state (dict): The published entries.
        with_head (bool): Whether to keep the 68-landmark head, which ORSANet
            does not use. Defaults to False.
    """
    new, dropped = {}, []
    for key, value in state.items():
        name = re.sub(r'^conv_([345])\.model\.(\d+)\.',
                      lambda m: f'stages.{int(m[1]) - 3}.{int(m[2]) + 1}.',
                      key)
        for pattern, ours in _MOBILE_LAYERS:
            name = re.sub(pattern, ours, name)
        name = re.sub(r'^(stages\.\d+\.\d+)\.conv\.', r'\1.expand.', name)
        name = name.replace('.conv_dw.', '.depthwise.')
        name = name.replace('.prelu.', '.activate.')
        if name.startswith('output_layer.'):
            name = name.replace('output_layer.', 'head.', 1)
            name = name.replace('head.conv_6_dw.', 'head.depthwise.')
            name = name.replace('head.linear.', 'head.fc.')
            name = name.replace('head.bn.', 'head.norm.')
            if not with_head:
                dropped.append(key)
                continue
        new[name] = value
    return new, dropped


def _unfold_order(value: torch.Tensor) -> torch.Tensor:
    """Reorder the last axis, 4C, of a patch merging for OpenMMLab's.

    torchvision joins the four neighbours block by block, in the order (0,0),
    (1,0), (0,1), (1,1) of (row, column); OpenMMLab unfolds, so that a
    channel's four neighbours lie together, row by row.
    """
    blocks = value.reshape(*value.shape[:-1], 4, -1)[..., [0, 2, 1, 3], :]
    return blocks.transpose(-1, -2).reshape(value.shape)


def convert_swin(state: State) -> Converted:
    """Swin-B of SegFace, keys as under ``backbone.``.

    ``0.*`` is torchvision's ``swin_b().features``: its even entries are
    patch embedding and mergings, the odd ones the stages. ``1.*``, the last
    norm, is left out: the feature is taken before it.
    """
    new, dropped = {}, []
    for key, value in state.items():
        found = re.match(r'0\.(\d+)\.(.+)', key)
        if not found:
            dropped.append(key)
            continue
        index, rest = int(found[1]), found[2]
        if index == 0:
            rest = rest.replace('0.', 'projection.',
                                1) if rest.startswith('0.') else rest.replace(
                                    '2.', 'norm.', 1)
            new[f'patch_embed.{rest}'] = value
        elif index % 2:
            block, rest = rest.split('.', 1)
            if rest.endswith('relative_position_index'):
                dropped.append(key)  # the architecture's own, not a weight
                continue
            for pattern, ours in _SWIN_LAYERS:
                rest = re.sub(pattern, ours, rest)
            new[f'stages.{index // 2}.blocks.{block}.{rest}'] = value
        else:
            # mmpretrain merges at the end of the stage before
            new[f'stages.{index // 2 - 1}.downsample.{rest}'] = (
                _unfold_order(value))
    return new, dropped


def convert_segface_decoder(state: State) -> State:
    """SegFace's mask decoder for LaPa, keys as beside ``backbone.``.

    Raises:
        ConversionError: If the class tokens are not LaPa's eleven.
    """
    token = re.compile(r'^face_decoder\.(\w+)_token\.weight$')
    found = {m[1]: k for k, m in ((k, token.match(k)) for k in state) if m}
    if set(found) != set(_SEGFACE_TOKENS):
        missing = sorted(set(_SEGFACE_TOKENS) - set(found))
        unknown = sorted(set(found) - set(_SEGFACE_TOKENS))
        raise ConversionError(
            'this is no mask decoder of SegFace for LaPa, whose classes are '
            f'{", ".join(_SEGFACE_TOKENS)}: of their tokens {missing} are '
            f'missing, and {unknown} are unknown')
    new = {
        'class_tokens': torch.cat([state[found[t]] for t in _SEGFACE_TOKENS])
    }
    for key, value in state.items():
        if key in found.values():
            continue
        name = key
        for pattern, ours in _SEGFACE_LAYERS:
            name = re.sub(pattern, ours, name)
        new[name] = value
    return new


def convert_segface(state: State) -> Converted:
    """The whole of SegFace for LaPa, into an ``mmseg.EncoderDecoder``.

    Left out: what :func:`convert_swin` leaves out.

    Raises:
        ConversionError: If there is an entry that SegFace does not have, or
            the class tokens are not LaPa's.
    """
    swin, left = convert_swin(strip_prefix(state, 'backbone.'))
    unknown = [
        k for k in left
        if not k.startswith('1.') and not k.endswith('relative_position_index')
    ]
    if unknown:
        raise ConversionError(
            f'{len(unknown)} entries are unknown to SegFace with a Swin-B: '
            f'{["backbone." + k for k in unknown[:4]]}')
    decoder = convert_segface_decoder({
        k: v
        for k, v in state.items() if not k.startswith('backbone.')
    })
    new = {f'backbone.{k}': v for k, v in swin.items()}
    new.update({f'decode_head.{k}': v for k, v in decoder.items()})
    return new, [f'backbone.{k}' for k in left]


def convert_guidance(state: State) -> State:
    """The SPADE block, keys as under ``seg_fusion.``."""
    new = {}
    for key, value in state.items():
        name = re.sub(r'^norm_(\d)\.mlp_shared\.', r'spade\1.shared.', key)
        name = re.sub(r'^norm_(\d)\.mlp_(gamma|beta)\.', r'spade\1.\2.', name)
        name = re.sub(r'^conv_(\d)\.bias$', r'conv\1.bias', name)
        name = re.sub(r'^conv_(\d)\.weight_orig$',
                      r'conv\1.parametrizations.weight.original', name)
        name = re.sub(r'^conv_(\d)\.weight_([uv])$',
                      r'conv\1.parametrizations.weight.0._\2', name)
        new[name] = value
    return new


def convert_interaction(state: State) -> Converted:
    """The MCM, keys as under ``pyramid_fuse.``; ``cls_token`` is unused."""
    scales = {'l': 0, 'm': 1, 's': 2}
    inner = {
        'attn_img.': '',
        'conv.': 'mix.',
        'mlp.fc1.': 'mlp.0.',
        'mlp.fc2.': 'mlp.2.'
    }
    new, dropped = {}, []
    for key, value in state.items():
        if key == 'cls_token':
            dropped.append(key)
            continue
        name = re.sub(r'^downsample_([ms])\.',
                      lambda m: f'downsamples.{scales[m[1]] - 1}.', key)
        # named by the scale that is added to: S joins M, M joins L
        name = re.sub(r'^blocks\.(\d+)\.upsample_([ms])\.',
                      lambda m: f'levels.{m[1]}.upsamples.{scales[m[2]] - 1}.',
                      name)
        found = re.match(r'^blocks\.(\d+)\.block_([lms])\.(.+)', name)
        if found:
            rest = found[3]
            if rest == 'scale':
                rest = 'landmark_scale'
            for old, ours in inner.items():
                if rest.startswith(old):
                    rest = ours + rest[len(old):]
            name = f'levels.{found[1]}.fusions.{scales[found[2]]}.{rest}'
        new[name] = value
    return new, dropped


def convert_official(state: State) -> Converted:
    """A whole official checkpoint, keys without ``module.``."""
    new, dropped = {}, []

    def add(converted: Converted, source: str, target: str) -> None:
        entries, left = converted
        new.update({target + k: v for k, v in entries.items()})
        dropped.extend(source + k for k in left)

    parts: Dict[str, Tuple[str, Callable]] = {
        'ir_back.': ('backbone.image_encoder.', convert_ir50),
        'face_landback.':
        ('backbone.landmark_prior.model.', convert_mobilefacenet),
        'face_segment.backbone.':
        ('backbone.parsing_prior.model.', convert_swin),
        'pyramid_fuse.': ('neck.cross_interaction.', convert_interaction),
        'seg_fusion.': ('neck.semantic_guidance.', lambda s:
                        (convert_guidance(s), [])),
        'seg_sample.': ('neck.semantic_guidance.embed.', lambda s: (s, [])),
        'ir_layer.': ('backbone.adapter.proj.', lambda s: (s, [])),
        'se_block.linear1.': ('head.gate.0.', lambda s: (s, [])),
        'se_block.linear2.': ('head.gate.2.', lambda s: (s, [])),
        'head.linear.': ('head.fc.', lambda s: (s, [])),
    }
    for source, (target, convert) in parts.items():
        add(convert(strip_prefix(state, source)), source, target)
    known = tuple(parts)
    dropped.extend(k for k in state if not k.startswith(known))
    return new, dropped


def fit(state: State, dropped: Sequence[str], model: nn.Module) -> Report:
    """Hold a converted state dict against the model that shall take it.

    Afterwards ``state`` has exactly the model's entries. Counters of batches
    (``num_batches_tracked``) and index tables need not be in a file: they are
    no weights, and the model's own are taken.

    Args:
        state (dict): The converted entries, changed in place.
        dropped (Sequence[str]): Keys left out on purpose.
        model (nn.Module): Who shall take them.

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
    """Write a state dict as MMEngine's checkpoints are, whole or not at all.

    Args:
        state (dict): The weights.
        path (str): Where to.
        classes (Sequence[str], optional): Class names by index.
    """
    meta = dict(dataset_meta=dict(
        classes=tuple(classes))) if classes else dict()
    with atomic_path(path) as temporary:
        # by a path torch refuses a name without an ending
        with open(temporary, 'wb') as file:
            torch.save(dict(meta=meta, state_dict=state), file)


def publish(src: str, dst: str, half: bool = True) -> int:
    """Reduce a training checkpoint to what a user of the weights needs.

    Keeps the weights (MMEngine has put a moving average in their place where
    there is one) and the class names; optimizer, schedules and logs go.

    Args:
        src (str): A checkpoint of ``tools/train.py``.
        dst (str): The file to write.
        half (bool): Whether to store floats as float16; they become float32
            again when loaded. Defaults to True.

    Returns:
        int: Size of the new file in bytes.

    Raises:
        ConversionError: If a weight is not finite, or too large for float16.
    """
    content = load_checkpoint_file(src)
    state = content.get('state_dict', content)
    new = {}
    for key, value in state.items():
        if value.is_floating_point():
            value = value.half() if half else value
            if not torch.isfinite(value).all():
                raise ConversionError(f"'{src}': {key} is not finite"
                                      f"{' in float16' if half else ''}")
        new[key] = value.contiguous().clone()
    write_state(new, dst, checkpoint_classes(content))
    return os.path.getsize(dst)
