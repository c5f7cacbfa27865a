# Copyright (c) orsa contributors. All rights reserved.
"""Say in one line which package is missing or of a wrong version."""
from importlib import metadata
from typing import Iterable, List, Optional, Tuple

from packaging.version import Version

# name, lowest, below (None: open), as in requirements/*.txt, where the reasons
# are: what predictions need
REQUIRED = (
    ('numpy', '1.26.0', None),
    ('opencv-python', '4.8.1.78', '5'),
    ('onnxruntime', '1.22', None),
)
# Needed by everything else: training, tests, other models.
PYTORCH = (
    ('torch', '2.10', None),
    ('mmengine', '0.10.4', None),
    ('mmpretrain', '1.2.0', None),
)
# Needed by priors and configs of these libraries only.
PRIORS = (
    ('mmsegmentation', '1.2.2', None),
    ('mmpose', '1.3.0', None),
    ('mmdet', '3.2.0', None),
)
_OF_TRAINING = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain',
                'scipy', 'sklearn')
# Distributions that bring the same module under another name.
ALIASES = {
    'opencv-python': ('opencv-python-headless', 'opencv-contrib-python',
                      'opencv-contrib-python-headless'),
    'mmengine': ('onedl-mmengine', 'mmengine-lite'),
    'mmpretrain': ('onedl-mmpretrain', ),
    'mmsegmentation': ('onedl-mmsegmentation', ),
    'mmdet': ('onedl-mmdetection', ),
    'mmcv': ('mmcv-lite', 'onedl-mmcv'),
}


class EnvironmentProblem(ImportError):
    """A package is missing or of a version that does not work."""


def installed(name: str) -> Optional[str]:
    """Version of the distribution ``name`` or of one that replaces it."""
    for candidate in (name, *ALIASES.get(name, ())):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _problem(name: str, low: str, high: Optional[str]) -> Optional[str]:
    version = installed(name)
    wanted = f'{name}>={low}' + (f',<{high}' if high else '')
    if version is None:
        return f'{name} is missing: pip install "{wanted}"'
    if Version(version) < Version(low) or (high is not None and
                                           Version(version) >= Version(high)):
        return f'{name} {version} does not work: pip install "{wanted}"'
    return None


def problems(packages: Iterable[Tuple] = (*REQUIRED, *PYTORCH)) -> List[str]:
    """One line for every package that is missing or of a wrong version."""
    found = [_problem(*package) for package in packages]
    if installed('mmcv') is None:
        found.append('mmcv is missing: pip install mmcv-lite==2.1.0')
    elif installed('mmcv') == '2.2.0' and installed('mmsegmentation'):
        found.append('mmcv 2.2.0 is refused by mmsegmentation and mmdet: pip '
                     'install mmcv-lite==2.1.0')
    return [line for line in found if line]


def remedy(module: Optional[str]) -> Optional[str]:
    """What to type where a module of an extra is missing, else None."""
    name = (module or '').partition('.')[0]
    if name in _OF_TRAINING:
        return ('orsa was installed for predictions alone, by ONNX, and this '
                'needs PyTorch and MMEngine: in the checkout pip install '
                '".[train]" mmcv-lite==2.1.0')
    if name in ('matplotlib', 'pandas'):
        return f'this needs {name}: pip install {name}'
    return None


def require_pytorch() -> None:
    """Check that orsa was not installed for predictions alone.

    Raises:
        EnvironmentProblem: Says how to install the rest.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(remedy(error.name) or str(error)) from error


def check_environment(packages: Iterable[Tuple] = (*REQUIRED,
                                                   *PYTORCH)) -> None:
    """Raise with the first line of :func:`problems`, if there is one.

    Raises:
        EnvironmentProblem: Names the package and what to install.
    """
    lines = problems(packages)
    if lines:
        raise EnvironmentProblem(lines[0])
