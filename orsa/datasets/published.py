# Copyright (c) orsa contributors. All rights reserved.
"""How many images the datasets have, by those who published them."""
from typing import Dict, NamedTuple, Tuple, Union

from orsa.utils.classes import AFFECTNET_CLASSES, RAFDB_CLASSES


class Published(NamedTuple):
    """The size of a dataset.

    ``counts`` has by split the number of images, or a dict of it by class;
    ``source`` is where they stand, ``all_rows`` whether they include what has
    no class.
    """
    name: str
    source: str
    counts: Dict[str, Union[int, Dict[str, int]]]
    all_rows: bool = False


def _affectnet(num_classes: int, train: Tuple[int, ...],
               reduced: int) -> Tuple[Published, Published]:
    classes = AFFECTNET_CLASSES[:num_classes]
    val = {c: 500 for c in classes}
    return (Published(
        f'AffectNet-{num_classes}',
        'training counts as the literature repeats them from the release, '
        'e.g. https://github.com/1980x/SCAN-CCI-FER; validation: '
        'https://arxiv.org/abs/1708.03985',
        dict(train=dict(zip(classes, train)), val=val)),
            Published(
                f'AffectNet-{num_classes}, the reduced release',
                "training log of ORSANet's authors, "
                'https://github.com/Wenyuzhy/ORSANet-master',
                dict(train=reduced, val=val)))


_AFFECTNET_TRAIN = (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750)

PUBLISHED: Dict[str, Tuple[Published, ...]] = dict(
    # by class: the release's own list_patition_label.txt, counted
    rafdb=(Published(
        'RAF-DB', 'http://www.whdeld.cn/RAF/model1.html',
        dict(
            train=dict(
                zip(RAFDB_CLASSES, (1290, 281, 717, 4772, 1982, 705, 2524))),
            test=dict(zip(RAFDB_CLASSES,
                          (329, 74, 160, 1185, 478, 162, 680))))), ),
    affectnet7=_affectnet(7, _AFFECTNET_TRAIN, 33803),
    affectnet8=_affectnet(8, _AFFECTNET_TRAIN, 37553),
    # what is left of the rows depends on the rule of the votes
    ferplus=(Published('FERPlus (all rows of FER2013)',
                       'https://arxiv.org/abs/1608.01041',
                       dict(train=28709, val=3589, test=3589), True), ),
    occlufer=(Published('Occlu-FER', 'https://arxiv.org/abs/2507.15401',
                        dict(train=6838, val=880)), ))
