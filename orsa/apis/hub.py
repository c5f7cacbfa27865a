# Copyright (c) orsa contributors. All rights reserved.
"""Models by name, with the functions of mmpretrain."""
import warnings
from fnmatch import fnmatchcase
from inspect import signature
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Union

from orsa.faces.results import ImageResult
from .inferencer import DRAWINGS, FERInferencer
from .zoo import MODELS_BY_NAME, looks_like_name

if TYPE_CHECKING:
    import torch.nn as nn

Patterns = Union[str, Sequence[str], None]


def list_models(pattern: Patterns = None,
                exclude_patterns: Patterns = None,
                task: Optional[str] = None) -> List[str]:
    """Names of all models with a config, those of other papers too.

    Args:
        pattern (str | Sequence[str], optional): Beginning of the name, where
            * is anything; or several. Defaults to None, all of them.
        exclude_patterns (str | Sequence[str], optional): Beginnings of names
            that are left out. Defaults to None.
        task (str, optional): 'Facial Expression Recognition' for those with
            published or measured results, 'null' for those without, as with
            mmpretrain. Defaults to None, both.

    Returns:
        list[str]: In alphabetical order. Those that ship with weights are
        :func:`orsa.apis.available_models`.

    Raises:
        ValueError: If no model has the task.

    Examples:
        >>> from orsa import list_models
        >>> list_models('posterv2')
        ['posterv2_lite_rafdb', 'posterv2_rafdb']
    """
    from orsa.utils.config_scope import metafile_rows  # reads YAML
    rows = metafile_rows()
    tasks = sorted({one for row in rows.values() for one in row['tasks']})
    if task is not None and task not in tasks:
        raise ValueError(f"no model has the task '{task}', the tasks are "
                         f'{tasks}')
    return sorted(name for name, row in rows.items()
                  if task in (None, *row['tasks'])
                  and _matches(name, '' if pattern is None else pattern)
                  and not _matches(name, exclude_patterns or ()))


def _matches(name: str, patterns: Union[str, Sequence[str]]) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(name, f'{pattern}*') for pattern in patterns)


def get_model(model: Any,
              pretrained: Union[bool, str] = False,
              device: Optional[str] = None,
              **kwargs) -> 'nn.Module':
    """Build a model by name, or of a config.

    Args:
        model (str | Config): A name of :func:`list_models` or
            :func:`orsa.apis.available_models`, a config file,
            'orsa::NAME.py', or a Config.
        pretrained (bool | str): Whether to load the weights that ship, or
            those of ``load_from`` of the config; or a checkpoint. Defaults to
            False, random weights.
        device (str, optional): Defaults to None, the CPU.
        **kwargs: Settings of the config's ``model``.

    Returns:
        nn.Module: As of :func:`orsa.apis.init_model`.

    Raises:
        ValueError: If there is no such model, or it has no weights and
            ``pretrained`` is True.

    Examples:
        >>> import torch
        >>> from orsa import get_model
        >>> model = get_model('orsanet_face', pretrained=True)
        >>> model(torch.rand(1, 3, 112, 112), mode='tensor').shape
        torch.Size([1, 8])
    """
    from .model import init_model, load_config  # import PyTorch
    weights, config = None, model
    if isinstance(model, str) and looks_like_name(model):
        config, weights = _find(model)
    cfg = load_config(config)
    weights = weights or cfg.get('load_from')
    if pretrained is True and not weights:
        raise ValueError(f"'{model}' has no weights: train it, or give a "
                         'checkpoint as pretrained')
    cfg.merge_from_dict(dict(model=kwargs))
    checkpoint = weights if pretrained is True else pretrained or None
    return init_model(cfg, checkpoint, device or 'cpu')


def _find(name: str):
    """Config and weights of a name."""
    from orsa.utils.config_scope import metafile_rows
    if name in MODELS_BY_NAME:
        return MODELS_BY_NAME[name]
    rows = metafile_rows()
    if name not in rows:
        raise ValueError(f"there is no model '{name}': orsa.list_models() "
                         'names all of them')
    return rows[name]['config'], rows[name]['weights']


def inference_model(model: Any, *args, **kwargs) -> ImageResult:
    """Predict the faces of one image.

    For more than one image keep a :class:`FERInferencer`. An image of one
    face, cropped as in a dataset, needs ``aligned=True``.

    Args:
        model (str | Config | nn.Module): As of :class:`FERInferencer`.
        *args: The image, and what else a call of it takes.
        **kwargs: Arguments of :class:`FERInferencer` and of a call of it.

    Returns:
        ImageResult: With ``faces``.

    Raises:
        TypeError: With ``return_vis``, or another argument that is not taken.

    Examples:
        >>> from orsa import inference_model
        >>> for face in inference_model('orsanet_face', 'photo.jpg').faces:
        ...     print(face.expression, face.confidence)
    """
    if kwargs.get('return_vis'):
        raise TypeError(f'inference_model returns no drawings: {DRAWINGS}')
    known = signature(FERInferencer).parameters
    settings = {k: kwargs.pop(k) for k in list(kwargs) if k in known}
    found = FERInferencer(model, **settings)(*args, **kwargs)
    image = found['predictions'][0]
    if not image.faces and not image.error:
        warnings.warn(
            f"no face is found in '{image.name}'. If it is an image of one "
            'face, give aligned=True',
            stacklevel=2)
    return image
