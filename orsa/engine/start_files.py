# Copyright (c) orsa contributors. All rights reserved.
"""The files that a training starts from."""
from typing import Iterator, List, NamedTuple, Optional

import torch.nn as nn

from orsa.models.backbones.image_stream import ImageStream
from orsa.models.priors import FrozenPrior
from orsa.utils.checkpoint import is_local, local_file


class StartFile(NamedTuple):
    """Weights that a part of a model loads when it is initialised.

    Attributes:
        part (str): Its name in the model.
        path (str, optional): A path or address; None if none is given.
        source (str, optional): Where to get it.
        needed (bool): Whether the part refuses to begin without it.
    """
    part: str
    path: Optional[str]
    source: Optional[str] = None
    needed: bool = True


def start_files(model: nn.Module) -> Iterator[StartFile]:
    """The files that ``model.init_weights()`` would load."""
    for name, part in model.named_modules():
        needed = not getattr(part, 'allow_untrained', False)
        if isinstance(part, FrozenPrior):
            yield StartFile(name, part.checkpoint, part.source, needed)
            for path in part.folds.checkpoints if part.folds else ():
                yield StartFile(name, path, part.source)
        if isinstance(part, ImageStream) and part.image_pretrained:
            yield StartFile(f'{name}.image_encoder',
                            part.image_pretrained['checkpoint'],
                            part.image_source, needed)
        if isinstance(part, ImageStream) and part.pretrained:
            yield StartFile(name, part.pretrained['checkpoint'])
        init_cfg = getattr(part, 'init_cfg', None) or []
        for item in [init_cfg] if isinstance(init_cfg, dict) else init_cfg:
            if item.get('type') == 'Pretrained':
                yield StartFile(name or 'model', item['checkpoint'])


def missing_files(model: nn.Module,
                  load_from: Optional[str] = None) -> List[str]:
    """What a training needs and this machine does not have, a line each.

    Args:
        model (nn.Module): As built, not initialised.
        load_from (str, optional): The checkpoint that is loaded afterwards.
            Defaults to None.

    Returns:
        list[str]: Part, path and source. An address is not missing: it is
        downloaded when the training starts.
    """
    files = list(start_files(model))
    if load_from:
        files.append(StartFile('load_from', load_from))
    lines = []
    for part, path, source, needed in files:
        if not needed or path and (not is_local(path) or local_file(path)):
            continue
        fact = f"there is no file '{path}'" if path else 'no file is named'
        hint = f'. {source.rstrip(".")}' if source else ''
        lines.append(f'  {part}: {fact}{hint}')
    return lines
