# Copyright (c) orsa contributors. All rights reserved.
"""What the OpenMMLab stack needs to run on today's PyTorch, in one place.

Entry points (``tools/``, ``orsa.apis``, the tests) call :func:`setup_stack`
once. Nothing here is done by importing orsa's parts.
"""
import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings

# The messages that the stack repeats at every step or sample and that a user
# of orsa can do nothing about. Named one by one, so that nothing else hides.
NOISE = (
    (r'.*build_loss.*', UserWarning),
    (r'.*avg_non_ignore.*', UserWarning),
    (r'.*"FileClient" will be deprecated.*', DeprecationWarning),
    (r'.*bbox_center.*', Warning),
    (r'.*torch\.cuda\.amp\..*', FutureWarning),
    (r'.*broadcast_buffers.*', Warning),
)


class _MissingOps(types.ModuleType):
    """Stand-in for ``mmcv._ext``: importable, unusable."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise RuntimeError(
                f"the operator '{name}' needs the compiled mmcv, and "
                'mmcv-lite is installed. Install mmcv 2.1.0 instead of it '
                '(docs/install.md says how), or use a model without this '
                'operator')

        missing.__name__ = name
        return missing


def provide_mmcv_ops() -> bool:
    """Make ``import mmseg.models`` and ``import mmpose.models`` work.

    Both import ``mmcv.ops``, whose compiled module ``mmcv._ext`` is absent
    from mmcv-lite. A stand-in lets them import; calling one of its operators
    raises. The compiled module is used whenever it is there.

    Returns:
        bool: True if the compiled operators are available.
    """
    name = 'mmcv._ext'
    if name in sys.modules:
        return not isinstance(sys.modules[name], _MissingOps)
    if importlib.util.find_spec(name) is not None:
        return True
    module = _MissingOps(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
    sys.modules[name] = module
    importlib.import_module('mmcv')._ext = module
    _complete_transformer()
    return False


def _complete_transformer() -> None:
    """Give mmcv's transformer the name that it could not import.

    It tried before the stand-in was there, and made do without; mmdet, which
    mmseg imports where it is installed, does not.
    """
    transformer = sys.modules.get('mmcv.cnn.bricks.transformer')
    name = 'MultiScaleDeformableAttention'
    if transformer is not None and not hasattr(transformer, name):
        ops = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
        setattr(transformer, name, getattr(ops, name))


def quiet_stack() -> None:
    """Hide the per-step warnings of the stack listed in ``NOISE``."""
    for message, category in NOISE:
        warnings.filterwarnings('ignore', message=message, category=category)


def setup_stack() -> None:
    """Prepare OpenMMLab's libraries for use by orsa's entry points.

    Looks at the versions, provides mmcv's operators or their stand-in,
    registers the safe checkpoint loader (see :mod:`orsa.utils.checkpoint`)
    and writing whole files (:mod:`orsa.utils.local_backend`), and hides known
    noise.

    Raises:
        EnvironmentProblem: In one line, if a package is missing or of a
            version that does not work.
    """
    from .versions import check_environment
    check_environment()
    from .checkpoint import register_safe_loader
    from .local_backend import register_atomic_backend
    quiet_stack()
    provide_mmcv_ops()
    register_safe_loader()
    register_atomic_backend()
