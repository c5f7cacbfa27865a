# Copyright (c) orsa contributors. All rights reserved.
"""Class names: the orders that the field uses, and their comparison."""
import warnings
from typing import Optional, Sequence

RAFDB_CLASSES = ('surprise', 'fear', 'disgust', 'happiness', 'sadness',
                 'anger', 'neutral')


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
        ValueError: If the names or their order differ.
    """
    if dataset is None:
        return
    if checkpoint is None:
        warnings.warn('the checkpoint carries no class names: it is taken on '
                      f'trust that its outputs mean {", ".join(dataset)}, in '
                      'this order. A converter writes them with --classes')
        return
    checkpoint, dataset = list(checkpoint), list(dataset)
    if checkpoint == dataset:
        return
    what = ('in another order'
            if sorted(checkpoint) == sorted(dataset) else 'of other names')
    raise ValueError(
        f'the checkpoint has classes {what}: {checkpoint}, but {dataset} is '
        "asked for. Set the dataset's metainfo=dict(classes=...) to the "
        "checkpoint's order")
