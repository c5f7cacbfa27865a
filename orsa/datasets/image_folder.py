# Copyright (c) orsa contributors. All rights reserved.
import os
import os.path as osp
from typing import Dict, List, Optional

from orsa.registry import DATASETS
from orsa.utils.classes import CONVENTIONS, RAFDB_CLASSES, expression_of
from orsa.utils.image_files import PICTURE_SUFFIXES
from .fer_dataset import FERDataset
from .subset_list import whole_number


def find_classes(root: str,
                 convention: Optional[str] = None) -> Dict[str, str]:
    """Tell which expression each folder below ``root`` holds.

    Args:
        root (str): The folder of the classes' folders.
        convention (str, optional): What an index means, a key of
            :data:`orsa.utils.classes.CONVENTIONS`. Defaults to None: folders
            have to be named by class.

    Returns:
        dict[str, str]: Name of the folder -> name of the expression.

    Raises:
        FileNotFoundError: If there is no folder.
        ValueError: If a folder's name means nothing, or two mean the same.
    """
    if not osp.isdir(root):
        raise FileNotFoundError(f"there is no folder '{root}'")
    folders = sorted(
        f for f in os.listdir(root)
        if osp.isdir(osp.join(root, f)) and not f.startswith(('.', '__')))
    numbers = CONVENTIONS[convention] if convention else {}
    found = {}
    for folder in folders:
        number = whole_number(folder)
        expression = numbers.get(number) or expression_of(folder)
        if expression is None:
            known = (f"{min(numbers)}-{max(numbers)} or a class's name"
                     if numbers else "a class's name")
            remedy = ('' if number is None or numbers else
                      ' An index means another class in every data set: say '
                      f'which by convention, one of {list(CONVENTIONS)}')
            raise ValueError(f"'{osp.join(root, folder)}' is no folder of a "
                             f'class, expected {known}.{remedy}')
        if expression in found.values():
            raise ValueError(f"'{root}' has two folders for {expression}, one "
                             f"of them '{folder}'")
        found[folder] = expression
    if not found:
        raise FileNotFoundError(f"'{root}' holds no folder of a class, such "
                                "as 'happiness'")
    return found


def list_class_folders(root: str,
                       convention: Optional[str] = None) -> List[dict]:
    """List the images in folders of classes.

    Args:
        root (str): The folder of the classes' folders.
        convention (str, optional): As of :func:`find_classes`.

    Returns:
        list[dict]: Records with ``img_path``, ``name`` ('happiness/0001') and
        ``expression``, by folder and name.
    """
    records = []
    for folder, expression in find_classes(root, convention).items():
        for file in sorted(os.listdir(osp.join(root, folder))):
            name, suffix = osp.splitext(file)
            if suffix.lower() in PICTURE_SUFFIXES and not file.startswith('.'):
                records.append(
                    dict(
                        img_path=osp.join(root, folder, file),
                        name=f'{folder}/{name}',
                        expression=expression))
    return records


@DATASETS.register_module()
class ImageFolder(FERDataset):
    """Images in a folder for each class.

    The folders are named by class, in any case ('happiness', 'Happy'): ::

        data_root
        └── data_prefix         e.g. train
            ├── anger
            │   ├── 0001.jpg
            │   └── ...
            └── ...

    or by index; then ``convention`` has to say whose. A sample's name is
    'anger/0001'.

    Args:
        data_root (str): Defaults to ''.
        data_prefix (str): The folder of the classes' folders, under
            ``data_root``. Defaults to ''.
        convention (str, optional): What folders named by index mean: 'rafdb'
            (0 is surprise), 'rafdb_file' (1 is surprise, as in RAF-DB's own
            files), 'affectnet', 'ferplus' or 'occlufer' (by alphabet).
            Defaults to None.
        **kwargs: Other arguments of :class:`FERDataset`. ``classes`` are by
            default RAF-DB's seven; a folder of another class is left out,
            which is logged.

    Raises:
        FileNotFoundError: If there are no such folders.
        ValueError: If a folder's name means no class, or the convention is
            unknown.

    Examples:
        >>> from orsa.datasets import ImageFolder
        >>> ImageFolder(data_root='data/mine', data_prefix='train')
        >>> ImageFolder(data_root='data/mine/0-6', convention='rafdb')
    """

    METAINFO = {'classes': RAFDB_CLASSES}
    LAYOUT = '<class>/<image>.jpg, ...'

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str = '',
                 convention: Optional[str] = None,
                 **kwargs):
        if convention is not None and convention not in CONVENTIONS:
            raise ValueError(
                f'{type(self).__name__}: convention must be one of '
                f"{list(CONVENTIONS)}, got '{convention}'")
        self.convention = convention
        super().__init__(
            data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the images of every class."""
        root = self.img_prefix
        self.require(root, "the folder of the classes' folders")
        records = list_class_folders(root, self.convention)
        by_index = any(f.isdigit()
                       for f in find_classes(root, self.convention))
        self.layout = ('folders by index of ' +
                       self.convention if by_index else 'folders by name')
        names = {}
        for r in records:
            if names.setdefault(r['name'], r) is not r:
                raise ValueError(f"'{r['img_path']}' and "
                                 f"'{names[r['name']]['img_path']}' have the "
                                 'same name: rename one of them')
        return records
