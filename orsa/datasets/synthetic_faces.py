# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence

import numpy as np

from orsa.registry import DATASETS
from .drawing import EXPRESSIONS, OCCLUDERS
from .fer_dataset import FERDataset
from .transforms.occlusion import check_occluders


@DATASETS.register_module()
class SyntheticFaces(FERDataset):
    """Synthetic faces with landmarks and masks.

    Nothing is read from disk: the records hold seeds, and
    :class:`DrawSyntheticFace`, the first transform of the pipeline, draws
    them. The face of a sample depends on ``face_seed``, ``split``, its index
    and its expression alone, so a larger set begins with the faces of a
    smaller one.

    Args:
        num_samples (int): Number of faces. Defaults to 1000.
        face_seed (int, optional): Another seed, other faces. Defaults to
            None: ``seed`` if that is given (it is the base class's, of the
            random numbers of the pipeline), otherwise 0.
        split (str): 'train', 'val' or 'test': no face is in two of them.
            Defaults to 'train'.
        size (int): Side of the images in pixels. Defaults to 112.
        class_probs (Sequence[float], optional): Probability of each class,
            in the order of ``classes``. Defaults to None: every block of as
            many samples as there are classes has each class once.
        occlude_prob (float): As the next four: of
            :func:`orsa.datasets.drawing.draw_face`. Defaults to 0.
        occluders (Sequence[str]): Defaults to all: 'sunglasses', 'mask',
            'scarf', 'hand', 'block', 'object'.
        intensity (tuple[float, float]): Defaults to (0.55, 1).
        grey_prob (float): Defaults to 0.6.
        degrade (bool): Defaults to True.
        **kwargs: Other arguments of :class:`FERDataset`, such as ``classes``
            (their order, or some of them alone).
    """

    ANY_CLASSES = False
    SPLITS = ('train', 'val', 'test')

    def __init__(self,
                 num_samples: int = 1000,
                 face_seed: Optional[int] = None,
                 split: str = 'train',
                 size: int = 112,
                 class_probs: Optional[Sequence[float]] = None,
                 occlude_prob: float = 0.,
                 occluders: Sequence[str] = OCCLUDERS,
                 intensity: Sequence[float] = (.55, 1.),
                 grey_prob: float = .6,
                 degrade: bool = True,
                 **kwargs):
        check_occluders(occluders, OCCLUDERS)
        if num_samples < 1:
            raise ValueError('SyntheticFaces: num_samples must be positive, '
                             f'got {num_samples}')
        self.num_samples = num_samples
        self.face_seed = kwargs.get('seed') if face_seed is None else face_seed
        self.face_seed = self.face_seed or 0
        self.class_probs = class_probs
        self.drawing = dict(
            size=size,
            occlude_prob=occlude_prob,
            occluders=tuple(occluders),
            intensity=tuple(intensity),
            grey_prob=grey_prob,
            degrade=degrade)
        super().__init__(split=split, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Choose expressions and seeds; nothing is drawn yet."""
        classes = self.CLASSES
        cannot = [c for c in classes if c not in EXPRESSIONS]
        if cannot:
            raise ValueError(f'SyntheticFaces: cannot draw {cannot}, expected '
                             f'some of {list(EXPRESSIONS)}')
        # each split has a stream of seeds of its own
        key = self.face_seed, self.SPLITS.index(self.split)
        return [
            dict(
                name=f'{self.split}_{i:06d}',
                expression=classes[label],
                face_seed=(*key, i + 1)) for i, label in enumerate(
                    self._sample_labels(np.random.PCG64(key)))
        ]

    def _sample_labels(self, bits: np.random.PCG64) -> np.ndarray:
        rng, num = np.random.Generator(bits), len(self.CLASSES)
        if self.class_probs is None:
            blocks = -(-self.num_samples // num)
            labels = [rng.permutation(num) for _ in range(blocks)]
            return np.concatenate(labels)[:self.num_samples]
        probs = np.asarray(self.class_probs, np.float64)
        if probs.shape != (num, ) or (probs < 0).any() or not probs.sum():
            raise ValueError(
                f'SyntheticFaces: class_probs must be {num} probabilities, '
                f'one for each of {list(self.CLASSES)}, got '
                f'{self.class_probs}')
        edges = np.cumsum(probs / probs.sum())
        edges[-1] = 1.
        return np.searchsorted(
            edges, rng.random(self.num_samples), side='right')

    def get_data_info(self, idx: int) -> dict:
        """A record with what :class:`DrawSyntheticFace` has to know."""
        info = super().get_data_info(idx)
        info['face'] = dict(
            self.drawing, expression=self.CLASSES[info['gt_label']])
        return info
