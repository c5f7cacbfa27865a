# Copyright (c) orsa contributors. All rights reserved.
"""How crops get the size and colours of an exported model."""
import functools
from typing import Callable, List, Optional, Sequence

import cv2
import numpy as np

from orsa.utils.warp import resize_image

Step = Callable[[np.ndarray], np.ndarray]


def build_pipeline(pipeline: Sequence[dict]) -> Step:
    """Make a function of transforms.

    Args:
        pipeline (Sequence[dict]): Configs of
            :data:`orsa.deploy.export_info.TRANSFORMS`. What the models that
            ship have needs neither MMEngine nor mmpretrain.

    Returns:
        Callable: From a crop (H, W, 3), BGR uint8, to the model's input.

    Raises:
        ImportError: If a transform needs mmpretrain, which is not installed.
    """
    steps: List[Optional[Step]] = [_plain(dict(one)) for one in pipeline]
    if None in steps:
        return _composed(pipeline)
    return lambda crop: functools.reduce(lambda img, f: f(img), steps, crop)


def _plain(one: dict) -> Optional[Step]:
    """A transform without its library, None where that is needed."""
    kind = one.pop('type')
    if kind == 'RandomGrayscale' and one == dict(prob=1., keep_channels=True):
        return grey
    if kind == 'orsa.RandomFaceAffine' and not (one.pop('flip_prob', 1)
                                                or one.pop('prob', 1)):
        size = one.pop('size')
        if not one:
            size = (size, size) if isinstance(size, int) else tuple(size)
            return functools.partial(resize_image, size=size)
    return None


def grey(image: np.ndarray) -> np.ndarray:
    """The mean of the channels in each, as mmcv's ``RandomGrayscale``."""
    first, second, third = (plane * (1 / 3) for plane in cv2.split(image))
    return cv2.merge([(first + second + third).astype(np.uint8)] * 3)


def _composed(pipeline: Sequence[dict]) -> Step:
    try:
        import mmpretrain  # noqa: F401
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope
    except ImportError as error:
        kinds = ', '.join(one['type'] for one in pipeline)
        raise ImportError(f'this model brings crops to its size by {kinds}, '
                          'for which mmpretrain is needed: '
                          'in the checkout pip install ".[train]"') from error
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        compose = Compose([dict(one) for one in pipeline])

    def apply(crop: np.ndarray) -> np.ndarray:
        shape = crop.shape[:2]
        return compose(dict(img=crop, img_shape=shape, ori_shape=shape))['img']

    return apply
