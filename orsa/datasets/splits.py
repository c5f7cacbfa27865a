# Copyright (c) orsa contributors. All rights reserved.
"""Held-out parts and folds of a training split, no subject in two of them."""
import hashlib
import math
from collections import Counter, defaultdict
from typing import Dict, List, Optional, Sequence, Set

import numpy as np

from .fer_dataset import FERDataset


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}:{name}'.encode()).digest()


def _members(groups: Sequence[str]) -> Dict[str, List[int]]:
    members = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    return members


def hold_out(names: Sequence[str],
             labels: Sequence,
             fraction: float,
             seed: int = 0,
             groups: Optional[Sequence[str]] = None) -> Set[str]:
    """Choose a stratified part of a dataset by name.

    What is ranked first by a hash of its name and the seed is taken first,
    whatever the order.

    Args:
        names (Sequence[str]): The samples, each once.
        labels (Sequence): The class of each.
        fraction (float): The fraction of every class to hold out, in [0, 1).
        seed (int): Another seed, another choice. Defaults to 0.
        groups (Sequence[str], optional): E.g. the subject in each image. A
            group is held out completely or not at all, and only if no class
            gets more than its fraction. Defaults to None.
    """
    limit = {c: round(fraction * n) for c, n in Counter(labels).items()}
    members = _members(names if groups is None else groups)
    held, chosen = Counter(), set()
    for group in sorted(members, key=lambda g: _rank(g, seed)):
        more = Counter(labels[i] for i in members[group])
        if all(held[c] + n <= limit[c] for c, n in more.items()):
            held.update(more)
            chosen.update(names[i] for i in members[group])
    return chosen


def assign_folds(names: Sequence[str],
                 labels: Sequence,
                 num_folds: int,
                 seed: int = 0,
                 groups: Optional[Sequence[str]] = None) -> Dict[str, int]:
    """Divide a dataset into stratified folds by name.

    Depends on the names, the labels and the seed, not on the order in which
    they come, nor on a library's version: models trained on such folds have to
    be matched later with the samples that they have not seen. Groups are
    placed one after the other, those that hold most of some class first, each
    where its classes are scarcest so far. Arguments are those of
    :func:`hold_out`; a group is in one fold completely.

    Returns:
        dict[str, int]: The fold of each name, from 0.

    Raises:
        ValueError: If there are fewer than 2 folds, or fewer groups (without
            groups, samples) than folds.
    """
    members = _members(names if groups is None else groups)
    if not 2 <= num_folds <= len(members):
        raise ValueError(f'num_folds must be 2 or more and at most '
                         f'{len(members)}, the number of groups, got '
                         f'{num_folds}')
    classes = {c: i for i, c in enumerate(sorted(set(labels)))}
    total = np.bincount([classes[c] for c in labels])
    # integers, so that what is equal ties on every machine
    weight = [math.lcm(*total.tolist()) // int(n) for n in total]
    counts = {
        group: Counter(classes[labels[i]] for i in rows)
        for group, rows in members.items()
    }
    filled = [Counter() for _ in range(num_folds)]
    sizes, folds = [0] * num_folds, {}

    def fraction(group):
        return sum(weight[c] * n for c, n in counts[group].items())

    def growth(fold, group):
        # of the sum of squared fractions, which is least when all are equal
        return sum(weight[c]**2 * n * (2 * filled[fold][c] + n)
                   for c, n in counts[group].items())

    # a second sort keeps the order by hash among equals
    order = sorted(members, key=lambda g: _rank(g, seed))
    for group in sorted(order, key=fraction, reverse=True):
        fold = min(
            range(num_folds), key=lambda k: (growth(k, group), sizes[k], k))
        filled[fold].update(counts[group])
        sizes[fold] += len(members[group])
        folds.update((names[i], fold) for i in members[group])
    return folds


class SplitDataset(FERDataset):
    """A dataset whose training split can be divided, subjects kept apart.

    It is stratified by class, the same for any order of the files, and without
    a subject in two parts where the subjects are known.

    Args:
        split (str): 'train', 'val' (what is held out), or another one, which
            is not divided. Defaults to 'train'.
        val_split (float): The fraction of the training split that 'val' holds
            and 'train' lacks, in [0, 1). Defaults to 0.
        val_seed (int): Another seed, another choice, other folds. Defaults to
            0.
        num_folds (int): Into how many folds the training split is divided;
            not together with ``val_split``. Every record then has ``fold``,
            the fold that it is in, or -1 if it is held out. Defaults to 0,
            none.
        fold (int, optional): The fold that 'train' lacks and that 'val' is.
            Defaults to None: 'train' is the complete training split.
        **kwargs: Other arguments of :class:`FERDataset`.

    Raises:
        ValueError: If the arguments do not go together.
    """

    SPLITS = ('train', 'val')
    DIVIDES = True

    def __init__(self,
                 split: str = 'train',
                 val_split: float = 0.,
                 val_seed: int = 0,
                 num_folds: int = 0,
                 fold: Optional[int] = None,
                 **kwargs):
        self.val_split = val_split
        self.val_seed = val_seed
        self.num_folds = num_folds
        self.fold = fold
        for wrong, message in (
            (not 0 <= val_split < 1, f'val_split must be in [0, 1), got '
             f'{val_split}'),
            (num_folds and val_split, 'val_split and num_folds both divide '
             f'the training split, give one: got {val_split} and {num_folds}'),
            (fold is not None and not 0 <= fold < num_folds, 'fold must be in '
             f'[0, num_folds), got fold={fold}, num_folds={num_folds}'),
            (split == 'val' and not val_split and fold is None, "split='val' "
             'is held out of the training split: it needs val_split > 0, the '
             'same as for training, or num_folds and fold'),
        ):  # yapf: disable
            if wrong:
                raise ValueError(f'{type(self).__name__}: {message}')
        super().__init__(split=split, **kwargs)

    def divide(self, records: List[dict],
               subjects: Sequence[Optional[str]]) -> List[dict]:
        """Take the part of the training split that is requested.

        ``subjects`` says who is in each image, None where it is not known.
        With ``num_folds`` each record gets its ``fold``, -1 if it is held out.

        Raises:
            ValueError: If ``val_split`` holds out nothing.
        """
        if not self.val_split and not self.num_folds:
            return records
        names = [r['name'] for r in records]
        labels = [r['expression'] for r in records]
        # an image of an unknown subject is a group of its own
        groups = [
            name if subject is None else subject
            for name, subject in zip(names, subjects)
        ]
        known = sum(subject is not None for subject in subjects)
        how = f'val_seed={self.val_seed}, ' + (
            f'subjects of {known} samples known, none in two splits'
            if known else 'subjects unknown')
        if self.val_split:
            held = hold_out(names, labels, self.val_split, self.val_seed,
                            groups)
            self.log(f'{len(held)} of {len(names)} training samples are held '
                     f'out (val_split={self.val_split}, {how})')
            if not held:
                raise ValueError(
                    f'{type(self).__name__}: val_split={self.val_split} holds '
                    f'none of {len(names)} samples out, of {len(set(groups))} '
                    'subjects: no subject has so small a fraction of every '
                    'class. Raise it')
            kept = [
                r for r in records
                if (r['name'] in held) == (self.split == 'val')
            ]
            return self._keep(kept, names)
        folds = assign_folds(names, labels, self.num_folds, self.val_seed,
                             groups)
        self.log(f'{len(names)} training samples are divided into '
                 f'{self.num_folds} folds ({how})')
        records = [dict(r, fold=folds[r['name']]) for r in records]
        if self.fold is None:
            return records
        if self.split == 'val':
            # held out: no model of another fold is to predict it
            kept = [
                dict(r, fold=-1) for r in records if r['fold'] == self.fold
            ]
        else:
            kept = [r for r in records if r['fold'] != self.fold]
        return self._keep(kept, names)

    def _keep(self, kept: List[dict], names: Sequence[str]) -> List[dict]:
        if self.subset_file is not None:  # which may name all of them
            self.other_part = set(names) - {r['name'] for r in kept}
        return kept
