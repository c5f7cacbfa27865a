# Copyright (c) orsa contributors. All rights reserved.
"""What is installed, what is missing, and what to type.

Imports nothing of the stack, so that it can speak where that is broken.
"""
import importlib.util
import os
import os.path as osp
import platform
import sys
from typing import Iterator, List, NamedTuple, Optional

from .versions import PRIORS, REQUIRED, installed, problems

# what is not needed by all: its name, and what for
_EXTRAS = (
    ('scipy', 'videos'),
    ('tensorboard', 'curves in TensorBoard'),
    ('gradio', 'orsa web'),
    ('onnx', 'export'),
    ('onnxruntime', 'export'),
)
_ZOO = ('orsanet_lite.pth', 'orsanet_lite.json', 'lite_parsing.pth',
        'lite_landmark.pth')


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name (str): What it is.
        found (str, optional): Its version or place; None if it is missing.
        remedy (str): What to type or to know; '' if it is as it should be.
        needed (bool): Whether nothing works without it.
    """
    name: str
    found: Optional[str]
    remedy: str = ''
    needed: bool = False


def examine() -> List[Finding]:
    """Look at the installation.

    Returns:
        list[Finding]: Packages, weights, data and the machine.
    """
    return [
        *_python(), *_packages(), *_video(), *_machine(), *_weights(),
        *_data()
    ]


def report(findings: List[Finding]) -> str:
    """The findings as lines for people, what is to be done at the end."""
    width = max(len(f.name) for f in findings)
    lines = []
    for f in findings:
        mark = 'ok' if not f.remedy else ('MISSING' if f.needed else '--')
        lines.append(f'{mark:<8}{f.name:<{width}}  {f.found or "not there"}')
    todo = [f for f in findings if f.remedy]
    if todo:
        lines += ['', 'What to do:']
        lines += [
            f'  {"needed  " if f.needed else "optional"}  {f.name}: {f.remedy}'
            for f in todo
        ]
    else:
        lines += ['', 'Everything is there.']
    return '\n'.join(lines)


def _python() -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding('Python', platform.python_version(),
                  '' if good else 'install Python 3.11 or 3.12', True)


def _packages() -> Iterator[Finding]:
    for packages, needed in ((REQUIRED, True), (PRIORS, False)):
        for package in packages:
            lines = [
                p for p in problems([package]) if not p.startswith('mmcv')
            ]
            yield Finding(package[0], installed(package[0]),
                          lines[0] if lines else '', needed)
    lines = [p for p in problems([]) if p.startswith('mmcv')]
    compiled = importlib.util.find_spec('mmcv') is not None and (
        importlib.util.find_spec('mmcv._ext') is not None)
    version = installed('mmcv')
    kind = 'compiled' if compiled else 'lite, without operators such as nms'
    yield Finding('mmcv', version and f'{version} ({kind})',
                  lines[0] if lines else '', True)
    for name, use in _EXTRAS:
        version = installed(name)
        yield Finding(name, version,
                      '' if version else f'pip install {name} (for {use})')


def _video() -> Iterator[Finding]:
    try:
        import cv2
    except ImportError as error:
        yield Finding('OpenCV', None, f'it does not import: {error}', True)
        return
    cascade = osp.join(cv2.data.haarcascades,
                       'haarcascade_frontalface_alt2.xml')
    yield Finding(
        'face detector', cascade if osp.isfile(cascade) else None,
        '' if osp.isfile(cascade) else 'pip install --force-reinstall '
        'opencv-python', True)
    lines = cv2.getBuildInformation().splitlines()
    ffmpeg = any('FFMPEG:' in s and 'YES' in s for s in lines)
    yield Finding(
        'videos (FFmpeg in OpenCV)', 'yes' if ffmpeg else None,
        '' if ffmpeg else 'pip install --force-reinstall opencv-python')
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
    except ImportError:
        return
    gpu = 'none, the CPU is used'
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name(0)
    yield Finding('GPU', gpu)


def _weights() -> Iterator[Finding]:
    folder = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'zoo')
    for name in _ZOO:
        path = osp.join(folder, name)
        there = osp.isfile(path)
        size = f'{osp.getsize(path) / 1e6:.1f} MB' if there else None
        yield Finding(
            name, size, '' if there else 'it should ship with the package: '
            f"install orsa anew (it is looked for at '{path}')",
            name.endswith('.pth'))


def _data() -> Iterator[Finding]:
    for name, variable, usual, what in (
        ('RAF-DB', 'ORSA_RAFDB', 'data/raf-db/',
         'basic'), ('pretrained parts of the paper\'s model',
                    'ORSA_PRETRAINED', 'checkpoints/', '')):
        place = os.environ.get(variable, usual)
        there = osp.isdir(osp.join(osp.expanduser(place), what))
        page = 'docs/datasets.md' if what else 'docs/checkpoints.md'
        yield Finding(
            name, place if there else None,
            '' if there else f'only for training: put it into {usual}, or '
            f'export {variable}=FOLDER/ ({page})')
