# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence

from .fer_dataset import FERDataset, assign_folds, hold_out


class PartedDataset(FERDataset):
    """A data set whose training split can be divided, persons kept apart.

    Args:
        split (str): Which of them: 'train', 'val' (what is held out), or
            another one, which is not divided. Defaults to 'train'.
        val_split (float): The share of the training split that 'val' holds
            and 'train' lacks, in [0, 1). Defaults to 0.
        val_seed (int): Another seed, another share, other folds. Defaults to
            0.
        num_folds (int): Into how many folds the training split is divided;
            not together with ``val_split``. Defaults to 0, none.
        fold (int, optional): The fold that 'train' lacks and that 'val' is.
            Defaults to None: 'train' is the whole training split.
        **kwargs: Other arguments of :class:`FERDataset`.

    Raises:
        ValueError: If the arguments do not go together.
    """

    def __init__(self,
                 split: str = 'train',
                 val_split: float = 0.,
                 val_seed: int = 0,
                 num_folds: int = 0,
                 fold: Optional[int] = None,
                 **kwargs):
        self.split = split
        self.val_split = val_split
        self.val_seed = val_seed
        self.num_folds = num_folds
        self.fold = fold
        self._check_parts()
        super().__init__(**kwargs)

    def _check_parts(self) -> None:
        name, split, fold = type(self).__name__, self.split, self.fold
        if not 0 <= self.val_split < 1:
            raise ValueError(f'{name}: val_split must be in [0, 1), got '
                             f'{self.val_split}')
        if self.num_folds < 0 or self.num_folds == 1:
            raise ValueError(f'{name}: num_folds must be 0 (none) or at least '
                             f'2, got {self.num_folds}')
        if self.num_folds and self.val_split:
            raise ValueError(f'{name}: val_split and num_folds both divide '
                             'the training split, give one: got '
                             f'{self.val_split} and {self.num_folds}')
        if fold is not None and not 0 <= fold < self.num_folds:
            raise ValueError(f'{name}: fold must be in [0, num_folds), got '
                             f'fold={fold}, num_folds={self.num_folds}')
        if fold is not None and split not in ('train', 'val'):
            raise ValueError(f'{name}: folds divide the training split, '
                             f"split='{split}' has no fold {fold}")
        if self.num_folds and fold is None and split == 'val':
            raise ValueError(f"{name}: split='val' with num_folds needs fold, "
                             'the one that training lacks')

    def divide(self, records: List[dict],
               persons: Sequence[Optional[str]]) -> List[dict]:
        """The part of the training split that is asked for.

        Args:
            records (list[dict]): All of it.
            persons (Sequence[str | None]): Who is in each picture, None where
                it is not known; nobody is in two parts.

        Returns:
            list[dict]: Some of the records; with ``num_folds`` each has its
            ``fold``, -1 if it is held out.
        """
        names = [r['name'] for r in records]
        labels = [r['expression'] for r in records]
        # a picture of an unknown person is a group of its own
        groups = [
            name if person is None else person
            for name, person in zip(names, persons)
        ]
        known = sum(person is not None for person in persons)
        said = f'val_seed={self.val_seed}, ' + (
            f'persons of {known} samples known, none in two parts'
            if known else 'persons unknown')
        if self.val_split:
            held = hold_out(names, labels, self.val_split, self.val_seed,
                            groups)
            self._log(f'{len(held)} of {len(names)} training samples are held '
                      f'out (val_split={self.val_split}, {said})')
            if not held:
                raise ValueError(
                    f'{type(self).__name__}: val_split={self.val_split} holds '
                    f'none of {len(names)} samples out, of {len(set(groups))} '
                    'persons: no person has so small a share of every class. '
                    'Raise it')
            keep_held = self.split == 'val'
            return [r for r in records if (r['name'] in held) == keep_held]
        if not self.num_folds:
            return records
        folds = assign_folds(names, labels, self.num_folds, self.val_seed,
                             groups)
        self._log(f'{len(names)} training samples are divided into '
                  f'{self.num_folds} folds ({said})')
        records = [dict(r, fold=folds[r['name']]) for r in records]
        if self.fold is None:
            return records
        if self.split == 'val':
            # held out: no model of another fold is to answer for it
            return [
                dict(r, fold=-1) for r in records if r['fold'] == self.fold
            ]
        return [r for r in records if r['fold'] != self.fold]
