# Copyright (c) orsa contributors. All rights reserved.
"""Features in the plane: what ``vis_tsne.py`` does."""
import copy
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config

from orsa.apis.dataset import predict_dataset
from orsa.apis.model import init_model
from orsa.studies.occlusion_conditions import read_list, with_occluder
from orsa.utils.image_files import name_of
from orsa.visualization import spread
from orsa.visualization.embedding import plot_embedding
from .inputs import build_dataset, number_as


class Features(NamedTuple):
    """What the classifier gets of faces.

    Attributes:
        values (np.ndarray): (N, D), before the last layer.
        labels (np.ndarray): (N, ), of the classes.
        classes (list[str]): Their names.
        occluders (np.ndarray): (N, ), of ``kinds``.
        kinds (list[str]): What a face may be occluded by.
        faces (int): How many different faces these are.
    """
    values: np.ndarray
    labels: np.ndarray
    classes: List[str]
    occluders: np.ndarray
    kinds: List[str]
    faces: int


def features(cfg: Config,
             checkpoint: str,
             count: int,
             occluders: Sequence[str] = (),
             severity: int = 3,
             listed: Optional[str] = None,
             device: str = 'cpu') -> Features:
    """The features of test faces before the classifier.

    Args:
        cfg (Config): The experiment.
        checkpoint (str): Of the complete model.
        count (int): Faces, equally many of each class as far as they go.
        occluders (Sequence[str]): Kinds of :class:`orsa.OccludeFace`: each
            face is there as it is, and once more behind each of them.
        severity (int): Of the occluders, 1 to 5. Defaults to 3.
        listed (str, optional): A list of really occluded faces instead, as
            ``subset_file`` of the dataset takes it. Defaults to None.
        device (str): Of the model. Defaults to 'cpu'.
    """
    if count < 1:
        raise ValueError(f'the number of faces is {count}, expected 1 or more')
    if occluders and listed:
        raise ValueError('either synthetic occluders or a list of really '
                         'occluded faces, not both')
    model = init_model(cfg, checkpoint, device)
    number_as(model, cfg)
    dataset = build_dataset(cfg, 'test')
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    chosen = spread([int(info['gt_label']) for info in infos], count)
    labels = np.array([int(infos[i]['gt_label']) for i in chosen])
    sources, kinds = [dataset], ['as they are']
    for kind in occluders:
        occluded = with_occluder(
            cfg.test_dataloader.dataset, severity=severity, kinds=kind)
        sources.append(build_dataset(cfg, 'test', occluded))
        kinds.append(f'{kind}, severity {severity}')
    values = [
        feature for source in sources for _, feature in predict_dataset(
            model,
            source,
            lambda data: model.extract_feat(
                data['inputs'], stage='pre_logits'),
            indices=chosen.tolist())
    ]
    place = np.repeat(np.arange(len(sources)), len(chosen))
    if listed:
        names, _ = read_list(dataset,
                             copy.deepcopy(cfg.test_dataloader.dataset),
                             listed)
        place = np.isin([name_of(infos[i]) for i in chosen], names).astype(int)
        kinds = ['nothing listed', 'really occluded']
    return Features(
        torch.cat(values).cpu().numpy(), np.tile(labels, len(sources)),
        list(model.dataset_meta['classes']), place, kinds, len(chosen))


def possible_neighbours(method: str, neighbours: float, total: int) -> float:
    """How many neighbours a method can take into account of ``total`` faces.

    Args:
        method (str): See :func:`to_plane`.
        neighbours (float): How many are wanted.
        total (int): The number of faces.
    """
    if method == 'tsne':
        return min(neighbours, (total - 1) / 3)
    return max(2, min(round(neighbours), total - 1))


def to_plane(values: np.ndarray,
             method: str = 'tsne',
             neighbours: float = 30.,
             seed: int = 0) -> np.ndarray:
    """Lay features (N, D) out in the plane, near ones near each other.

    Args:
        values (np.ndarray): The features of 4 or more faces.
        method (str): 'tsne', scikit-learn's `Visualizing Data using t-SNE
            <https://www.jmlr.org/papers/v9/vandermaaten08a.html>`_, or 'umap',
            umap-learn's `UMAP <https://arxiv.org/abs/1802.03426>`_.
        neighbours (float): How many count: perplexity of t-SNE,
            ``n_neighbors`` of UMAP; less for a few faces. Defaults to 30.
        seed (int): Defaults to 0.

    Raises:
        ValueError: If there are too few features.
        ImportError: If umap-learn is needed and not installed.
    """
    total = len(values)
    if total < 4:
        raise ValueError(f'{total} faces are too few to be laid out in the '
                         'plane, 4 or more are needed')
    if method == 'tsne':
        from sklearn.manifold import TSNE  # saves start-up
        layout = TSNE(
            perplexity=possible_neighbours(method, neighbours, total),
            init='pca',
            random_state=seed)
    else:  # one thread, which a seed needs
        layout = import_umap()(
            n_neighbors=possible_neighbours(method, neighbours, total),
            random_state=seed,
            n_jobs=1)
    return layout.fit_transform(values)


def import_umap() -> type:
    """UMAP's class; an ImportError names the package."""
    try:
        from umap import UMAP  # optional, and takes seconds
    except ImportError as error:
        raise ImportError('UMAP needs umap-learn, which is not installed: '
                          'pip install umap-learn') from error
    return UMAP


def draw_features(found: Features,
                  out: str,
                  by: str = 'class',
                  method: str = 'tsne',
                  neighbours: float = 30.,
                  seed: int = 0) -> np.ndarray:
    """Draw features in the plane, and return the places (N, 2).

    Args:
        found (Features): Of :func:`features`.
        out (str): The PNG to write.
        by (str): 'class', or 'occlusion', where the same places are drawn
            twice, by class and by occluder. Defaults to 'class'.
        method (str): As the next ones, see :func:`to_plane`.
        neighbours (float): Defaults to 30.
        seed (int): Defaults to 0.
    """
    total = len(found.values)
    places = to_plane(found.values, method, neighbours, seed)
    panels: Dict[str, Tuple] = {'': (found.labels, found.classes)}
    if by == 'occlusion':
        panels = {
            'by expression': panels[''],
            'by occluder': (found.occluders, found.kinds)
        }
    neighbours = possible_neighbours(method, neighbours, total)
    name = dict(
        tsne=f't-SNE, perplexity {neighbours:g}',
        umap=f'UMAP of {neighbours:.0f} neighbours')[method]
    faces = f'{found.faces} test faces'
    if total > found.faces:
        faces += f', each {total // found.faces} times,'
    plot_embedding(places, panels, out,
                   f'{faces} before the classifier, {name}')
    return places
