# Copyright (c) orsa contributors. All rights reserved.
"""What predictions run: a model by name, config or file, by onnxruntime or
by PyTorch."""
from typing import Any, NamedTuple, Optional

from orsa.deploy.exported import ExportedModel, is_exported, load_exported
from orsa.evaluation.calibration import Calibration, load_calibration
from orsa.utils.versions import require_pytorch
from .zoo import load_shipped, looks_like_name, resolve_model

BACKENDS = ('auto', 'onnx', 'pytorch')


class LoadedModel(NamedTuple):
    """A model that is ready to predict.

    ``model`` is an ExportedModel, or an nn.Module in evaluation mode;
    ``weights`` the checkpoint of a module, None where it is not known or the
    weights were changed since.
    """
    model: Any
    device: str
    weights: Optional[str] = None

    def calibration(self) -> Calibration:
        """That of the exported file, or of the one beside the checkpoint.

        Raises:
            ValueError: If that file is none, or is of other weights.
        """
        if isinstance(self.model, ExportedModel):
            return self.model.calibration
        return load_calibration(self.weights)


def load_predictor(model: Any,
                   weights: Optional[str] = None,
                   device: Optional[str] = None,
                   backend: str = 'auto') -> LoadedModel:
    """Load what :class:`orsa.apis.FERInferencer` predicts with.

    The arguments, and the errors, are those of the inferencer.

    Returns:
        LoadedModel: With the device that was chosen.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend should be one of {BACKENDS}, but is '
                         f"'{backend}'")
    built = isinstance(model, ExportedModel) or hasattr(model, 'dataset_meta')
    if weights is not None and (built or is_exported(model)):
        raise ValueError(f'{"the model" if built else model} already has its '
                         f"weights: leave out weights='{weights}'")
    if isinstance(model, ExportedModel):
        return LoadedModel(model, 'cpu')
    if is_exported(model):
        device = device or 'cpu'
        return LoadedModel(load_exported(model, device), device)
    named = isinstance(model, str) and looks_like_name(model)
    if backend == 'onnx' or (backend == 'auto' and named and weights is None
                             and device in (None, 'cpu')):
        ships = named and weights is None
        exported = load_shipped(model, device or 'cpu') if ships else None
        if exported is not None:
            return LoadedModel(exported, device or 'cpu')
        if backend == 'onnx':
            raise ValueError(f"'{model}' does not ship as ONNX: export it "
                             'with tools/deployment/export.py and name the '
                             'file')
    return _load_pytorch(model, weights, device)


def _load_pytorch(model: Any, weights: Optional[str],
                  device: Optional[str]) -> LoadedModel:
    if isinstance(model, str) and looks_like_name(model):
        model, weights = resolve_model(model, weights)
    elif weights is None and not hasattr(model, 'dataset_meta'):
        name = getattr(model, 'filename', None) or model
        raise ValueError(f'{name} comes without weights: give a checkpoint '
                         '(weights=, --checkpoint), or a model that ships')
    require_pytorch()
    from mmengine.device import get_device

    from .model import init_model, remember_checkpoint, unchanged_checkpoint
    device = device or get_device()
    if hasattr(model, 'dataset_meta'):
        weights = unchanged_checkpoint(model)
        # another device means other tensors
        model = remember_checkpoint(model.to(device).eval(), weights)
    else:
        model = init_model(model, weights, device)
    # behind it, as the model prepares the libraries that this imports
    from .torch_inference import test_pipeline
    test_pipeline(model.cfg)  # a config without one is refused here
    return LoadedModel(model, device, weights)
