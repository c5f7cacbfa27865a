# Copyright (c) orsa contributors. All rights reserved.
from typing import List

from orsa.registry import DATASETS


def annotated_records(faces: dict, key: str, what: str,
                      file: str) -> List[dict]:
    """Records of another dataset of faces, which carry an annotation.

    Args:
        faces (dict): Config of the dataset. Its own pipeline is not used.
        key (str): What a record of a face on disk has to hold; drawn faces
            bring everything with them.
        what (str): The annotation, for the message.
        file (str): Where it is on disk, for the message.

    Returns:
        list[dict]: One record for each face.

    Raises:
        ValueError: If a face on disk comes without the annotation.
    """
    dataset = DATASETS.build(faces)
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    bare = [r for r in records if 'img_path' in r and key not in r]
    if bare:
        raise ValueError(
            f"{faces['type']} gives no {what} for {len(bare)} of "
            f"{len(records)} faces, '{bare[0]['img_path']}' among them: set "
            f'with_annotations=True and see that {file} is there')
    return records
