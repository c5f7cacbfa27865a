# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

from orsa.registry import DATASETS
from orsa.utils.classes import OCCLUFER_CLASSES
from .image_folder import ImageFolder


@DATASETS.register_module()
class OccluFER(ImageFolder):
    """Occlu-FER, expressions under real occlusion.

    `Rethinking Occlusion in FER: A Semantic-Aware Perspective and Go Beyond
    <https://arxiv.org/abs/2507.15401>`_. The data are given by its authors on
    request (`project page <https://github.com/Wenyuzhy/ORSANet-master>`_): ::

        occlu-fer
        ├── train/anger/...             6,838 images
        ├── valid/anger/...             880 images
        └── RAF-DB_valid_occlu/...      optional

    The last is a selection of RAF-DB's test images that the same page offers.
    Its format is not published: folders of classes are read here; a list of
    names, or a folder of images without classes, is a ``subset_file`` of
    :class:`RAFDB`.

    The release has folders for seven classes. The page speaks of eight: should
    there be a folder ``contempt``, it is left out unless ``classes`` names it.

    Args:
        data_root (str): Defaults to 'data/occlu-fer'.
        split (str): 'train', 'val' or 'rafdb_occlu'. Defaults to 'train'.
        convention (str, optional): For folders named by index, see
            :class:`ImageFolder`. Defaults to None.
        **kwargs: Other arguments of :class:`FERDataset`.

    Raises:
        ValueError: For an unknown split, or arguments that would divide one.
    """

    METAINFO = {'classes': OCCLUFER_CLASSES}
    ANY_CLASSES = False
    LAYOUT = 'train/anger/<image>.jpg, ..., valid/anger/<image>.jpg, ...'
    SOURCE = (
        'Occlu-FER is given by its authors on request '
        '(https://github.com/Wenyuzhy/ORSANet-master). Set ORSA_OCCLUFER '
        'or data_root to the folder that holds it')
    SPLITS = dict(train='train', val='valid', rafdb_occlu='RAF-DB_valid_occlu')
    TEST_SPLITS = ('val', 'rafdb_occlu')
    DIVIDES = False

    def __init__(self,
                 data_root: str = 'data/occlu-fer',
                 split: str = 'train',
                 convention: Optional[str] = None,
                 test_mode: Optional[bool] = None,
                 **kwargs):
        self.check_choice('split', split, self.SPLITS)
        dividing = [
            k for k in ('val_split', 'num_folds', 'fold')
            if kwargs.get(k) not in (None, 0)
        ]
        if dividing:
            raise ValueError(f'OccluFER: {dividing} would divide a '
                             "split of the release: it has split='val'")
        super().__init__(
            data_root=data_root,
            data_prefix=self.SPLITS[split],
            convention=convention,
            test_mode=split != 'train' if test_mode is None else test_mode,
            **kwargs)
        # of the release; none of them is divided
        self.split = split
