# Copyright (c) orsa contributors. All rights reserved.
"""Features in the plane: what ``vis_tsne.py`` does."""
import copy
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config

from orsa.visualization import spread
from orsa.visualization.embedding import plot_embeddings
from .analysing import batches_of, build_dataset
from .model import init_model
from .occlusion_faces import name_of, read_list, with_occluder

# by a list of really occluded faces
_UNLISTED, _COVERED = 'nothing listed', 'really covered'


class Features(NamedTuple):
    """What the classifier sees of faces.

    Attributes:
        values (np.ndarray): (N, D), before the last layer.
        labels (np.ndarray): (N, ), of the classes.
        classes (list[str]): Their names.
        covers (np.ndarray): (N, ), of ``kinds``.
        kinds (list[str]): What may be in front of a face.
    """
    values: np.ndarray
    labels: np.ndarray
    classes: List[str]
    covers: np.ndarray
    kinds: List[str]


def features(cfg: Config,
             checkpoint: str,
             count: int,
             occluders: Sequence[str] = (),
             severity: int = 3,
             listed: Optional[str] = None) -> Features:
    """What the classifier sees of test faces.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the whole model.
        count (int): Faces, equally many of each class as far as they go.
        occluders (Sequence[str]): Kinds of :class:`orsa.OccludeFace`: each
            face is there as it is, and once more behind each of them.
            Defaults to (), as they are.
        severity (int): Of the occluders, 1 to 5. Defaults to 3.
        listed (str, optional): A list of really occluded faces instead, as
            ``subset_file`` of the data set takes it. Defaults to None.

    Returns:
        Features: As they are first, then behind one kind after the other.

    Raises:
        ValueError: If ``count`` is not positive, or both occluders and a list
            are given.
    """
    if count < 1:
        raise ValueError(f'the number of faces is {count}, expected 1 or more')
    if occluders and listed:
        raise ValueError('either drawn occluders or a list of really '
                         'occluded faces, not both')
    model = init_model(cfg, checkpoint)
    dataset = build_dataset(cfg, 'test')
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    chosen = spread([int(info['gt_label']) for info in infos], count)
    labels = np.array([int(infos[i]['gt_label']) for i in chosen])
    sources, kinds = [dataset], ['as they are']
    for kind in occluders:
        hidden = with_occluder(cfg.test_dataloader.dataset, severity=severity)
        hidden.pipeline[1]['kinds'] = kind
        sources.append(build_dataset(cfg, 'test', hidden))
        kinds.append(f'{kind}, severity {severity}')
    found = []
    for source in sources:
        samples = [source[int(i)] for i in chosen]
        with torch.no_grad():
            found += [
                model.extract_feat(inputs, stage='pre_logits')
                for inputs in batches_of(model, samples)
            ]
    covers = np.repeat(np.arange(len(sources)), len(chosen))
    if listed:
        names, _ = read_list(dataset,
                             copy.deepcopy(cfg.test_dataloader.dataset),
                             listed)
        covers = np.isin([name_of(infos[i]) for i in chosen],
                         names).astype(int)
        kinds = [_UNLISTED, _COVERED]
    return Features(
        torch.cat(found).cpu().numpy(), np.tile(labels, len(sources)),
        list(model.dataset_meta['classes']), covers, kinds)


def draw_tsne(cfg: Config,
              checkpoint: str,
              out: str,
              count: int = 1000,
              perplexity: float = 30.,
              seed: int = 0,
              by: str = 'class',
              occluders: Sequence[str] = ('hand', ),
              severity: int = 3,
              listed: Optional[str] = None) -> np.ndarray:
    """Draw the features of test faces in the plane, by scikit-learn's t-SNE.

    `Visualizing Data using t-SNE
    <https://www.jmlr.org/papers/v9/vandermaaten08a.html>`_.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the whole model.
        out (str): The PNG to write.
        count (int): Faces at most. Defaults to 1000.
        perplexity (float): How many neighbours count; less for a few faces.
            Defaults to 30.
        seed (int): Of scikit-learn. Defaults to 0.
        by (str): 'class', or 'occlusion', where the same places are drawn
            twice, by class and by what is in front of the face.
            Defaults to 'class'.
        occluders (Sequence[str]): By occlusion, see :func:`features`; not
            with a list. Defaults to ('hand', ).
        severity (int): Of these. Defaults to 3.
        listed (str, optional): By occlusion, see :func:`features`.
            Defaults to None.

    Returns:
        np.ndarray: The places (N, 2).

    Raises:
        ValueError: If ``by`` is another, or there are fewer than 4 faces.
    """
    from sklearn.manifold import TSNE
    if by not in ('class', 'occlusion'):
        raise ValueError(f"by should be 'class' or 'occlusion', got '{by}'")
    extra: Dict = {}
    if by == 'occlusion':
        extra = dict(listed=listed) if listed else dict(
            occluders=occluders, severity=severity)
    found = features(cfg, checkpoint, count, **extra)
    total = len(found.values)
    if total < 4:
        raise ValueError(f't-SNE needs 4 faces or more, got {total}')
    perplexity = min(perplexity, (total - 1) / 3)
    places = TSNE(
        perplexity=perplexity, init='pca',
        random_state=seed).fit_transform(found.values)
    panels: Dict[str, Tuple] = {'': (found.labels, found.classes)}
    if by == 'occlusion':
        panels = {
            'by expression': panels[''],
            'by what is in front': (found.covers, found.kinds)
        }
    plot_embeddings(
        places, panels, out, f'{_count(found)} before the classifier, t-SNE, '
        f'perplexity {perplexity:g}')
    return places


def _count(found: Features) -> str:
    total, times = len(found.values), len(found.kinds)
    if times > 1 and found.kinds[0] != _UNLISTED:
        return f'{total // times} test faces, each {times} times,'
    return f'{total} test faces'
