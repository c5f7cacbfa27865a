# Copyright (c) orsa contributors. All rights reserved.
"""Models that ship with the package, by name."""
import os.path as osp
from typing import Dict, Optional, Tuple

from orsa.deploy.exported import ExportedModel, load_exported
from orsa.utils.shipped import zoo_path

# what predictions take unless they are told otherwise
DEFAULT_MODEL = 'orsanet_face'
# name: its config, and its weights
MODELS_BY_NAME: Dict[str, Tuple[str, str]] = {
    'orsanet_face': ('orsa::orsanet_face.py', 'orsa://orsanet_face.pth'),
    'orsanet_lite': ('orsa::orsanet_lite_rafdb.py', 'orsa://orsanet_lite.pth'),
}


def available_models() -> Tuple[str, ...]:
    """Names that :func:`orsa.apis.init_model` takes."""
    return tuple(sorted(MODELS_BY_NAME))


def looks_like_name(config: str) -> bool:
    """Whether a config is given by a bare name, not a path or an address."""
    # a model that ships, whatever the folder of the moment has of that name
    return config in MODELS_BY_NAME or not (
        config.startswith('orsa::') or osp.splitext(config)[1]
        or osp.basename(config) != config or osp.exists(config))


def resolve_model(name: str,
                  checkpoint: Optional[str] = None) -> Tuple[str, str]:
    """Config and weights of a model by its name.

    Args:
        name (str): One of :func:`available_models`.
        checkpoint (str, optional): Weights to take instead of those that
            ship. Defaults to None.

    Returns:
        tuple[str, str]: The config and the checkpoint.

    Raises:
        ValueError: If there is no such model.
        FileNotFoundError: If its weights are not in this installation.
    """
    if name not in MODELS_BY_NAME:
        raise ValueError(
            f"there is no model '{name}', only {list(available_models())}. A "
            "path of a config file or 'orsa::NAME.py' is taken too")
    config, weights = MODELS_BY_NAME[name]
    if checkpoint is not None:
        return config, str(checkpoint)
    if not osp.isfile(osp.expanduser(zoo_path(weights))):
        raise FileNotFoundError(
            f"the weights of '{name}', {weights}, are not in this "
            f"installation: there is no file '{zoo_path(weights)}'. Install "
            'the package anew, give a checkpoint of your own, or build it '
            f"without weights as '{config}'")
    return config, weights


def load_shipped(name: str, device: str = 'cpu') -> Optional[ExportedModel]:
    """Load a model by its name as ONNX.

    Args:
        name (str): One of :func:`available_models`.
        device (str): See :func:`.load_exported`. Defaults to 'cpu'.

    Returns:
        ExportedModel, optional: None if it does not ship as ONNX.

    Raises:
        ValueError: If there is no such model, or the file is of other
            weights than those beside it.
        ImportError: If onnxruntime is not installed.
    """
    weights = osp.expanduser(zoo_path(resolve_model(name)[1]))
    path = osp.splitext(weights)[0] + '.onnx'
    if not osp.isfile(path):
        return None
    return load_exported(path, device)
