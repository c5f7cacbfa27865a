# Copyright (c) orsa contributors. All rights reserved.
"""Samples of one dataset whose images are in another one too."""
import hashlib
from typing import Dict, List


def image_digests(dataset) -> Dict[str, bytes]:
    """Hash the stored image of every sample.

    Args:
        dataset (FERDataset): The dataset.

    Returns:
        dict[str, bytes]: BLAKE2b digest by name of the sample.
    """
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {
        info['name']: hashlib.blake2b(dataset.image_bytes(info)).digest()
        for info in infos
    }


def find_duplicates(dataset, other) -> List[str]:
    """Find the samples whose image is in another dataset, byte for byte.

    Args:
        dataset (FERDataset): The dataset.
        other (FERDataset): The other one.

    Returns:
        list[str]: Names of samples of ``dataset``, in its order.
    """
    seen = set(image_digests(other).values())
    return [
        name for name, digest in image_digests(dataset).items()
        if digest in seen
    ]
