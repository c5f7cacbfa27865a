# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
from collections import Counter
from typing import Dict, List, Optional, Sequence

from orsa.registry import DATASETS
from orsa.utils.classes import (AFFECTNET_CLASSES, FERPLUS_CLASSES,
                                OCCLUFER_CLASSES, RAFDB_CLASSES)
from .fer_dataset import FERDataset
from .images import find_images
from .splits import SplitDataset
from .text_files import whole_number

# What an index means, by who wrote it. RAF-DB's own files count from 1.
CONVENTIONS: Dict[str, Dict[int, str]] = dict(
    rafdb=dict(enumerate(RAFDB_CLASSES)),
    rafdb_file=dict(enumerate(RAFDB_CLASSES, 1)),
    affectnet=dict(enumerate(AFFECTNET_CLASSES)),
    ferplus=dict(enumerate(FERPLUS_CLASSES)),
    occlufer=dict(enumerate(OCCLUFER_CLASSES)))

_ALIASES = dict(
    angry='anger',
    contemptuous='contempt',
    disgusted='disgust',
    fearful='fear',
    happy='happiness',
    sad='sadness',
    surprised='surprise')


def expression_of(name: str) -> Optional[str]:
    """The expression that a folder's name means, in any case, or None."""
    name = name.strip().casefold()
    name = _ALIASES.get(name, name)
    return name if name in AFFECTNET_CLASSES else None


def find_classes(root: str,
                 convention: Optional[str] = None,
                 classes: Optional[Sequence[str]] = None) -> Dict[str, str]:
    """Find the class of each folder below ``root``, by the folder's name.

    ``convention`` says what an index means; without it folders have to be
    named by class. ``classes`` are names of any kind that folders may have, in
    any case: a folder of another name then holds an expression, or a class of
    its own name.

    Raises:
        FileNotFoundError: If there is no folder.
        ValueError: If a folder's name means nothing, two mean the same, or
            none means one of ``classes``.
    """
    if not osp.isdir(root):
        raise FileNotFoundError(f"there is no folder '{root}'")
    folders = sorted(
        f for f in os.listdir(root)
        if osp.isdir(osp.join(root, f)) and not f.startswith(('.', '__')))
    if not folders:
        raise FileNotFoundError(f"'{root}' holds no folder of a class, such "
                                "as 'happiness'")
    numbers = CONVENTIONS[convention] if convention else {}
    declared = {_meaning(name): name for name in classes or ()}
    found = {}
    for folder in folders:
        meaning = numbers.get(whole_number(folder)) or _meaning(folder)
        name = folder if folder in declared.values() else declared.get(
            meaning, expression_of(meaning))
        if name is None and (classes is None or
                             (numbers and whole_number(folder) is not None)):
            known = (f"{min(numbers)}-{max(numbers)} or a class's name"
                     if numbers else "a class's name")
            raise ValueError(f"'{osp.join(root, folder)}' is no folder of a "
                             f'class, expected {known}')
        if name in found.values():
            raise ValueError(f"'{root}' has two folders for {name}, one "
                             f"of them '{folder}'")
        found[folder] = name or folder
    if classes and not set(classes) & set(found.values()):
        by_index = any(whole_number(folder) is not None for folder in folders)
        hint = ('An index means another class in every dataset: set '
                f'convention to one of {list(CONVENTIONS)}' if by_index else
                'Name them in classes, or set data_prefix to the folder that '
                "holds the classes' folders")
        raise ValueError(f"'{osp.normpath(root)}' has folders "
                         f'{str(folders)[:500]} and none of the classes '
                         f'{list(classes)}. {hint}')
    return found


def _meaning(name: str) -> str:
    return expression_of(name) or name.strip().casefold()


def list_class_folders(dataset: FERDataset, root: str,
                       classes: Dict[str, str]) -> List[dict]:
    """Records of the images in folders of classes, at any depth.

    Each has ``img_path``, ``name`` ('happiness/0001', with its suffix where
    two files differ in nothing else), ``expression`` and, where the file is
    not in the class's own folder, ``person``, the folder there that it is in.
    What is skipped is logged by kind, and stored in the dataset's
    ``passed_over``.
    """
    records, skipped = [], Counter()
    for folder, expression in classes.items():
        files, kinds = find_images(osp.join(root, folder))
        skipped.update(kinds)
        stems = Counter(osp.splitext(file)[0] for file in files)
        for file in files:
            stem = osp.splitext(file)[0]
            name = stem if stems[stem] == 1 else file
            person, *below = file.split(osp.sep)
            records.append(
                dict(
                    img_path=osp.join(root, folder, file),
                    name=f'{folder}/{name}',
                    expression=expression,
                    **(dict(person=person) if below else {})))
    beside = sum(osp.isfile(osp.join(root, f)) for f in os.listdir(root))
    if beside:
        skipped['files beside the folders'] = beside
    dataset.passed_over = dict(skipped)
    if skipped:
        dataset.log('skipped: ' + ', '.join(f'{n} {kind}'
                                            for kind, n in skipped.items()))
    return records


@DATASETS.register_module()
class ImageFolder(SplitDataset):
    """Images in a folder for each class, at any depth.

    The folders are named by class, in any case ('happiness', 'Happy'); what
    lies deeper is a subject's: ::

        data_root/data_prefix
        ├── anger/0001.jpg, ...
        ├── anger/person1/0001.jpg, ...         optional
        └── ...

    or by index; then ``convention`` has to say whose. A sample's name is
    'anger/0001' or 'anger/person1/0001'. Hidden files, and those that are no
    images by their suffix (``orsa.utils.image_files.IMAGE_SUFFIXES``), are
    skipped, which is logged and counted in ``passed_over``.

    Classes need not be expressions: ``classes=['no pain', 'pain']`` takes the
    folders of these names and leaves out others, counted in ``num_dropped``.

    Args:
        data_root (str): Defaults to ''.
        data_prefix (str): The folder of the classes' folders, under
            ``data_root``. Defaults to ''.
        convention (str, optional): What folders named by index mean: 'rafdb'
            (0 is surprise), 'rafdb_file' (1 is surprise, as in RAF-DB's own
            files), 'affectnet', 'ferplus' or 'occlufer' (by alphabet).
            Defaults to None.
        split (str): 'train', or 'val', what ``val_split`` or ``fold`` holds
            out. Defaults to 'train'.
        **kwargs: ``val_split``, ``val_seed``, ``num_folds`` and ``fold`` of
            :class:`SplitDataset`, and arguments of :class:`FERDataset`.
            ``classes`` are by default RAF-DB's seven.

    Raises:
        FileNotFoundError: If there are no such folders.
        ValueError: If a folder is named by an index that means no class, or
            two folders by one class.

    Examples:
        >>> from orsa.datasets import ImageFolder
        >>> ImageFolder(data_root='data/mine', data_prefix='train')
        >>> ImageFolder(data_root='data/mine/0-6', convention='rafdb')
        >>> ImageFolder(
        ...     data_root='data/pain', classes=['none', 'pain'], val_split=0.2)
    """

    METAINFO = {'classes': RAFDB_CLASSES}
    LAYOUT = '<class>/<image>.jpg, ..., or <class>/<person>/<image>.jpg, ...'

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str = '',
                 convention: Optional[str] = None,
                 split: str = 'train',
                 **kwargs):
        self.convention = self.check_choice('convention', convention,
                                            [None, *CONVENTIONS])
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            split=split,
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the images of every class."""
        root = self.img_prefix
        self.require(root, "the folder of the classes' folders")
        classes = find_classes(root, self.convention, self.CLASSES)
        records = list_class_folders(self, root, classes)
        by_index = self.convention and any(f.isdigit() for f in classes)
        self.layout = (f'folders by index of {self.convention}'
                       if by_index else 'folders by name')
        return self.divide(records, [r.get('person') for r in records])
