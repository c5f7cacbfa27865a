# Copyright (c) orsa contributors. All rights reserved.
"""Class names: the orders that the field uses, and their comparison."""
import warnings
from typing import List, Optional, Sequence, Tuple

from .checkpoint_records import CheckpointError

RAFDB_CLASSES = ('surprise', 'fear', 'disgust', 'happiness', 'sadness',
                 'anger', 'neutral')
AFFECTNET_CLASSES = ('neutral', 'happiness', 'sadness', 'surprise', 'fear',
                     'disgust', 'anger', 'contempt')
FERPLUS_CLASSES = ('neutral', 'happiness', 'surprise', 'sadness', 'anger',
                   'disgust', 'fear', 'contempt')
OCCLUFER_CLASSES = ('anger', 'disgust', 'fear', 'happiness', 'neutral',
                    'sadness', 'surprise')


def model_classes(model) -> Sequence[str]:
    """The names of a model's classes.

    Args:
        model (nn.Module): As :func:`orsa.apis.init_model` gives it.

    Returns:
        Sequence[str]: ``model.dataset_meta['classes']``.

    Raises:
        ValueError: If it has none.
    """
    classes = (getattr(model, 'dataset_meta', None) or {}).get('classes')
    if not classes:
        raise ValueError('the model has no names for its classes, expected '
                         "model.dataset_meta['classes']: init_model gives "
                         'them, if the checkpoint or the config knows them')
    return classes


def common_classes(model: Sequence[str], data: Sequence[str]) -> List[str]:
    """The classes that a model and a dataset share, in the data's order.

    Args:
        model (Sequence[str]): Names of the model's outputs, in order.
        data (Sequence[str]): Names of the data's labels, in order.

    Raises:
        CheckpointError: If there are none.
    """
    common = [name for name in data if name in set(model)]
    if not common:
        raise CheckpointError(f'the model knows {list(model)}, the data hold '
                              f'{list(data)}: they have no class in common')
    return common


def _own_names(checkpoint: dict) -> Optional[Sequence[str]]:
    """``meta.dataset_meta.classes``, in capitals before OpenMMLab 2.0."""
    data = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    return data.get('classes') or data.get('CLASSES')


def checkpoint_classes(checkpoint: dict) -> Optional[Tuple[str, ...]]:
    """The class names that a checkpoint carries.

    Args:
        checkpoint (dict): Its content: MMEngine's
            ``meta.dataset_meta.classes``, or ``meta.CLASSES`` of mmcls 0.x.

    Returns:
        tuple[str] | None: Names by index, None if there are none.
    """
    names = _own_names(checkpoint) or (checkpoint.get('meta')
                                       or {}).get('CLASSES')
    return tuple(names) if names else None


def class_names(checkpoint: dict,
                config: Optional[Sequence[str]],
                source: str = 'the checkpoint') -> Tuple[str, ...]:
    """The class names of a model, from the first that has them.

    These are ``meta.dataset_meta.classes`` of the checkpoint, those of the
    config's data (:func:`orsa.apis.model.config_classes`), and
    ``meta.CLASSES`` of a checkpoint of mmcls 0.x. An order is never guessed
    from the number of classes.

    Args:
        checkpoint (dict): Its content.
        config (Sequence[str], optional): Names by index as the config has
            them, None where it has none.
        source (str): The checkpoint's name, for the message.

    Raises:
        CheckpointError: If none has them, or the config has
            ``meta.CLASSES`` in another order.
    """
    saved = checkpoint_classes(checkpoint)
    if saved and (_own_names(checkpoint) or not config):
        return saved
    if not config:
        raise CheckpointError(
            f"'{source}' carries no class names, and the config has none: "
            'set dataset=dict(classes=[...]) in its test_dataloader to the '
            'names, in the order of the training')
    if saved is None or sorted(saved) == sorted(config):
        check_classes(saved, config)
    else:
        warnings.warn(f"'{source}' names its classes {list(saved)}; the "
                      f"config's names, {list(config)}, are taken")
    return tuple(config)


def check_classes(checkpoint: Optional[Sequence[str]],
                  dataset: Optional[Sequence[str]]) -> None:
    """Compare the classes of a checkpoint with those it is used for.

    Args:
        checkpoint (Sequence[str], optional): Names by index as the checkpoint
            carries them. Where it carries none this warns, for nothing can
            be compared.
        dataset (Sequence[str], optional): Names by index as the dataset or
            config has them; None where it has none.

    Raises:
        CheckpointError: If the names or their order differ.
    """
    if dataset is None or checkpoint and list(checkpoint) == list(dataset):
        return
    if checkpoint is None:
        warnings.warn('the checkpoint carries no class names: its outputs are '
                      f'assumed to mean {", ".join(dataset)}, in this order. '
                      'A converter writes them with --classes')
        return
    what = ('in another order'
            if sorted(checkpoint) == sorted(dataset) else 'of other names')
    raise CheckpointError(
        f'the checkpoint has classes {what}: {list(checkpoint)}, expected '
        f"{list(dataset)}. Set the dataset's classes to those of the "
        'checkpoint')
