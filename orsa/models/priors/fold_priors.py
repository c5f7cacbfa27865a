# Copyright (c) orsa contributors. All rights reserved.
import copy
import os.path as osp
from typing import Callable, List, Optional, Sequence

import torch
import torch.nn as nn

from orsa.utils.checkpoint import zoo_path
from orsa.utils.pretrained import is_local, load_pretrained


class FoldPriors:
    """Copies of a frozen prior, one for each fold of the training data.

    A prior that was trained on the same faces as the classifier is better on
    them than it will ever be again, and the classifier learns to trust it too
    much. Cross-fitting mends this: the prior is trained once for each fold,
    without that fold, and answers for that fold alone.

    This is no module, and the prior keeps it out of its own modules: what it
    holds is in no checkpoint, gets no gradient and is never told to train.

    Args:
        checkpoints (Sequence[str]): Of fold k the k-th, weights of the same
            network that have not seen fold k.

    Raises:
        ValueError: If there are fewer than two.
    """

    def __init__(self, checkpoints: Sequence[str]):
        if isinstance(checkpoints, str) or len(checkpoints) < 2:
            raise ValueError('fold_checkpoints should be two or more files, '
                             f'one for each fold, but got {checkpoints!r}')
        self.checkpoints = tuple(checkpoints)
        self._copies: Optional[List[nn.Module]] = None

    def load(self, prior: nn.Module, name: str, source: Optional[str],
             prefix: Optional[str]) -> None:
        """Make the copies, on the prior's device, and load every file.

        Args:
            prior (FrozenPrior): The owner.
            name (str): What the weights are for, part of the messages.
            source (str, optional): Where to get them, part of the messages.
            prefix (str, optional): As for the prior's own file.

        Raises:
            FileNotFoundError: If a file is missing, whatever the prior's
                ``allow_untrained``: no other checkpoint holds these weights.
            CheckpointError: If a file does not fit.
        """
        missing = [
            f"fold {k}: '{path}'" for k, path in enumerate(self.checkpoints) if
            is_local(path) and not osp.isfile(osp.expanduser(zoo_path(path)))
        ]
        if missing:
            hint = f' {source.rstrip(".")}.' if source else ''
            raise FileNotFoundError(
                f'fold_checkpoints of the {name} are missing, '
                f'{len(missing)} of {len(self.checkpoints)} '
                f'({", ".join(missing)}).{hint} They are in no other '
                'checkpoint and needed for every training, a resumed one too')
        self._copies, copies = None, []
        for k, path in enumerate(self.checkpoints):
            one = copy.deepcopy(prior)
            one.folds = None
            load_pretrained(one.model, path, f'{name}, fold {k}', prefix)
            copies.append(one)
        self._copies = copies

    def apply_to_tensors(self, fn: Callable, *args, **kwargs) -> None:
        """Follow the owner to another device or type: ``Module._apply``."""
        for one in self._copies or ():
            one._apply(fn, *args, **kwargs)

    def answer(self, x: torch.Tensor, folds: torch.Tensor,
               main: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Let each row be answered by the model that has not seen it.

        Args:
            x (Tensor): Images (B, 3, H, W).
            folds (Tensor): The fold of each, (B,), whole numbers; -1 for the
                main model.
            main (Callable): How the main model answers.

        Returns:
            Tensor: The answers, in the order of the rows.

        Raises:
            ValueError: If there is no such fold.
            RuntimeError: If the weights of the folds were not loaded.
        """
        present = folds.unique().tolist()
        self._check(folds, present)
        if len(present) == 1:
            return self._of(present[0], main)(x)
        out = None
        for k in present:
            rows = torch.nonzero(folds == k)[:, 0]
            part = self._of(k, main)(x[rows])
            if out is None:
                out = part.new_empty(len(x), *part.shape[1:])
            out[rows] = part
        return out

    def _of(self, fold: int, main: Callable) -> Callable:
        return main if fold == -1 else self._copies[fold]._compute

    def _check(self, folds: torch.Tensor, present: List[int]) -> None:
        count = len(self.checkpoints)
        if folds.ndim != 1:
            raise ValueError("'fold' should be of shape (B,), but is "
                             f'{tuple(folds.shape)}')
        wrong = [k for k in present if not -1 <= k < count]
        if wrong:
            raise ValueError(
                f'a sample is in fold {wrong[-1]}, but there are {count} '
                f'fold_checkpoints, for the folds 0 to {count - 1} (-1: the '
                'main model). num_folds of the data set should be the same')
        if self._copies is None and max(present, default=-1) >= 0:
            raise RuntimeError(
                f'a sample is in fold {max(present)}, but fold_checkpoints '
                'have not been loaded: init_weights does that, when a '
                'training begins. A model built for testing has the main '
                "model alone, for samples with fold -1 or without 'fold'")
