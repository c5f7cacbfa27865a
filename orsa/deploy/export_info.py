# Copyright (c) orsa contributors. All rights reserved.
"""What an exported file states about itself."""
import dataclasses
import json
import os.path as osp
from typing import Any, Optional, Tuple

# where the information lies: metadata of ONNX, file in the others' archive
META_KEY, META_FILE = 'orsa', 'orsa.json'
# the input and the outputs by name
IMAGES, LOGITS, LANDMARKS, PARSING = 'images', 'logits', 'landmarks', 'parsing'
EMBEDDING = 'embedding'
# beside an ONNX file, the part of it that gives landmarks: onnxruntime always
# computes a whole graph
LANDMARK_SUFFIX = '.landmarks.onnx'
# What may bring a crop to the model's size. A name of a registry can be the
# path of any function, so that those in a file are checked against this list.
TRANSFORMS = ('CenterCrop', 'Pad', 'Resize', 'ResizeEdge', 'RandomGrayscale',
              'orsa.RandomFaceAffine')
# No model needs more pixels a side, or more transforms
_MAX_SIZE, _MAX_TRANSFORMS = 4096, 16


@dataclasses.dataclass(frozen=True)
class ExportInfo:
    """What an exported file states about itself.

    Attributes:
        classes (tuple[str]): The expressions, in the order of the outputs.
        image_size (tuple[int, int]): Height and width of the input.
        pipeline (tuple[dict]): Transforms that bring a crop to this size, of
            :data:`TRANSFORMS`.
        precision (str): 'fp32', 'fp16' or 'int8'.
        mean (tuple[float]): What is subtracted inside, RGB; for people.
        std (tuple[float]): What it is divided by inside; for people.
        orsa_version (str): Of what wrote the file.
        torch_version (str): The same.
        config_hash (str): SHA-256 of the model's config.
        weights_hash (str, optional): SHA-256 of the checkpoint, if any.
        weights_file (str, optional): The name of the checkpoint beside the
            file, if its weights are read from there.
        calibration (dict, optional): Of :class:`orsa.apis.Calibration`.
        gives_visibility (bool): Whether the confidence of a landmark is its
            visibility.

    Raises:
        ValueError: If a value is of another kind.
    """
    classes: Tuple[str, ...]
    image_size: Tuple[int, int]
    pipeline: Tuple[dict, ...]
    precision: str
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    orsa_version: str
    torch_version: str
    config_hash: str
    weights_hash: Optional[str] = None
    weights_file: Optional[str] = None
    calibration: Optional[dict] = None
    gives_visibility: bool = False

    def __post_init__(self):
        for key in ('classes', 'image_size', 'pipeline', 'mean', 'std'):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        named = self.classes and all(isinstance(c, str) for c in self.classes)
        sized = len(self.image_size) == 2 and all(
            type(s) is int and 0 < s < _MAX_SIZE for s in self.image_size)
        known = (
            len(self.pipeline) <= _MAX_TRANSFORMS
            and all(map(is_allowed, self.pipeline)))
        for key, valid, expected in (
            ('classes', named, 'names'),
            ('weights_file', not self.weights_file
             or osp.basename(self.weights_file) == self.weights_file,
             'the name of a file'), ('image_size', sized, 'height and width'),
            ('pipeline', known, f'at most {_MAX_TRANSFORMS} of '
             f'{", ".join(TRANSFORMS)}, with numbers up to {_MAX_SIZE}')):
            if not valid:
                raise ValueError(f'{key} should be {expected}, but is '
                                 f'{str(getattr(self, key))[:100]}')

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> 'ExportInfo':
        """From what :meth:`dumps` has given; a ValueError if it is not."""
        try:
            return cls(**json.loads(text))
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error).replace('.__init__', '')) from error


def is_allowed(transform: Any) -> bool:
    """Whether an exported file may name a transform, by its config."""
    return (isinstance(transform, dict) and transform.get('type') in TRANSFORMS
            and transform.get('scale_factor') is None
            and (transform['type'] != 'RandomGrayscale'
                 or transform.get('prob') == 1)
            and _is_bounded(list(transform.values())))


def _is_bounded(value: Any) -> bool:
    """No dict, which could be built, and no number beyond the limit."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_bounded, value))
    return not isinstance(value, dict) and (
        not isinstance(value, (int, float)) or abs(value) <= _MAX_SIZE)
