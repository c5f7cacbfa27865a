# Copyright (c) orsa contributors. All rights reserved.
import copy
import os.path as osp
from typing import List, Optional, Sequence

import torch
import torch.nn as nn

from orsa.models.utils.pretrained import load_pretrained
from orsa.utils.checkpoint import is_local
from orsa.utils.shipped import zoo_path


class FoldPriors:
    """Copies of a frozen prior, one for each fold of the training data.

    A prior that was trained on the same faces as the classifier is better on
    them than it will ever be again, and the classifier learns to trust it too
    much. In cross-fitting the prior is trained once for each fold, without
    that fold, and predicts for that fold alone. The auxiliary input 'fold'
    (B,) of the images (:func:`orsa.models.utils.same_batch.provide`) is the
    fold of each; -1, or no such input, is the main model's.

    This is no module: its copies are in no checkpoint, get no gradient and
    are never set to training mode.

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
        self.copies: Optional[List[nn.Module]] = None

    def load(self, prior: nn.Module, name: str) -> None:
        """Make the copies and load their weights.

        Args:
            prior (FrozenPrior): The prior they are of.
            name (str): Its name in messages.

        Raises:
            FileNotFoundError: If a file is missing: no other checkpoint holds
                these weights.
            CheckpointError: If a file does not fit.
        """
        missing = [
            f"fold {k}: '{path}'" for k, path in enumerate(self.checkpoints) if
            is_local(path) and not osp.isfile(osp.expanduser(zoo_path(path)))
        ]
        if missing:
            hint = f' {prior.source.rstrip(".")}.' if prior.source else ''
            raise FileNotFoundError(
                f'{len(missing)} of {len(self.checkpoints)} fold_checkpoints '
                f'of the {name} are missing ({", ".join(missing)}).{hint} '
                'Every training needs them, a resumed one too')
        self.copies, copies = None, []
        for k, path in enumerate(self.checkpoints):
            one = copy.deepcopy(prior)
            one.folds = None
            load_pretrained(one.model, path, f'{name}, fold {k}', prior.prefix)
            copies.append(one)
        self.copies = copies

    def predict(self, prior: nn.Module, x: torch.Tensor,
                folds: torch.Tensor) -> torch.Tensor:
        """Predict each row by the model that has not seen it.

        Args:
            prior (FrozenPrior): The main model.
            x (Tensor): Images (B, 3, H, W).
            folds (Tensor): The fold of each, (B,), integers; -1 for the main
                model.

        Returns:
            Tensor: The outputs, in the order of the rows.

        Raises:
            ValueError: If there is no such fold.
            RuntimeError: If the weights of the folds were not loaded.
        """
        present, count = folds.unique().tolist(), len(self.checkpoints)
        if folds.ndim != 1:
            raise ValueError("'fold' should be of shape (B,), but is "
                             f'{tuple(folds.shape)}')
        wrong = [k for k in present if not -1 <= k < count]
        if wrong:
            raise ValueError(
                f'a sample is in fold {wrong[-1]}, but there are {count} '
                'fold_checkpoints: num_folds of the dataset should be the '
                'same (-1 is the main model)')
        if self.copies is None and present[-1] >= 0:
            raise RuntimeError(
                f'a sample is in fold {present[-1]}, but fold_checkpoints '
                'have not been loaded: init_weights does that when a training '
                'begins, a model built for testing has the main model alone')
        if len(present) == 1:
            return self._model_of(present[0], prior).predict(x)
        out = None
        for k in present:
            rows = torch.nonzero(folds == k)[:, 0]
            part = self._model_of(k, prior).predict(x[rows])
            if out is None:
                out = part.new_empty(len(x), *part.shape[1:])
            out[rows] = part
        return out

    def _model_of(self, fold: int, prior: nn.Module) -> nn.Module:
        if fold == -1:
            return prior
        one = self.copies[fold]
        # not of weights, some of which may be halved
        own, like = one.input_scale, prior.input_scale
        if (own.device, own.dtype) != (like.device, like.dtype):
            one.to(like)  # the prior was moved or cast meanwhile
        return one
