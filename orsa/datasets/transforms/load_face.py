# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Tuple

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose

from orsa.registry import TRANSFORMS
from orsa.utils.image_files import jpeg_header
from orsa.utils.image_reader import ImageError, decode_image, warn_notes

# What counts the pixels of the file
_IN_PIXELS = ('gt_keypoints', 'keypoints', 'seg_map_path', 'gt_seg_map',
              'visible_mask', 'gt_bboxes', 'bbox')


@TRANSFORMS.register_module()
class LoadFace(LoadImageFromFile):
    """Load an image as predictions read it, at reduced size if requested.

    Transparent images are laid on white, and all else is as of
    :func:`orsa.utils.image_reader.decode_image`. Datasets of orsa put it
    in the place of mmcv's ``LoadImageFromFile``, which lays nothing on white
    and does not rotate an AVIF; JPEG and PNG without transparency are the same
    by both.

    A JPEG that will be made smaller can be decoded at 1/2, 1/4 or 1/8 of its
    size for less work: of each block of 8 x 8 only the lower frequencies are
    computed. This takes the smallest of these whose shorter side is still
    ``min_size``. Other formats are loaded as they are, and so is a sample with
    landmarks, boxes or masks: they count the pixels of the file.

    **Required Keys:** img_path

    **Added Keys:** img (h, w, 3), BGR uint8; img_shape, its (h, w); ori_shape,
    (H, W) of the file, as it is shown

    Args:
        min_size (int, optional): The shorter side that is needed, in pixels.
            The side of the network's input suits an antialiased ``Resize``,
            twice of it suits ``RandomFaceAffine``, which may enlarge the
            face. Defaults to None, the complete image.
        **kwargs: ``backend_args``, ``to_float32`` and ``ignore_empty`` of
            mmcv's ``LoadImageFromFile``.

    Raises:
        ValueError: If ``min_size`` is not positive, or what is to be decoded
            is not colour by OpenCV.
    """

    def __init__(self, min_size: Optional[int] = None, **kwargs):
        super().__init__(**kwargs)
        if min_size is not None and min_size < 1:
            raise ValueError(f'min_size should be positive, got {min_size}')
        if (self.color_type, self.imdecode_backend) != ('color', 'cv2'):
            raise ValueError(
                "LoadFace decodes color_type='color' by imdecode_backend="
                f"'cv2', got '{self.color_type}' by '{self.imdecode_backend}'."
                ' Take LoadImageFromFile')
        self.min_size = min_size

    def transform(self, results: dict) -> Optional[dict]:
        """Load the image."""
        try:
            content = fileio.get(
                results['img_path'], backend_args=self.backend_args)
            full = any(key in results for key in _IN_PIXELS)
            factor, shape = (1, None) if full else self._reduction(content)
            img, notes = decode_image(content, reduce=factor)
        except Exception as error:
            if self.ignore_empty:
                return None
            if isinstance(error, ImageError):
                raise ImageError(f"'{results['img_path']}' cannot be read: "
                                 f'{error}') from error
            raise
        warn_notes(results['img_path'], notes)
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        if factor > 1:
            # an image that lies on its side is rotated
            lies = (shape[0] - shape[1]) * (img.shape[0] - img.shape[1]) < 0
            results['ori_shape'] = shape[::-1] if lies else shape
        return results

    def _reduction(self, content: bytes) -> Tuple[int, Tuple[int, int]]:
        """By how much to reduce a file, and its (H, W), from its header."""
        header = jpeg_header(content) if self.min_size else None
        if header is None or header.components == 4:
            return 1, (0, 0)
        for factor in (8, 4, 2):
            if min(header.width, header.height) // factor >= self.min_size:
                return factor, (header.height, header.width)
        return 1, (0, 0)


def use_one_reader(pipeline: Compose) -> None:
    """Put :class:`LoadFace` in the place of mmcv's ``LoadImageFromFile``.

    It stays where it is configured to decode by another library or in grey.
    """
    for i, one in enumerate(pipeline.transforms):
        if type(one) is LoadImageFromFile and not one.file_client_args and (
                one.color_type, one.imdecode_backend) == ('color', 'cv2'):
            pipeline.transforms[i] = LoadFace(
                to_float32=one.to_float32,
                ignore_empty=one.ignore_empty,
                backend_args=one.backend_args)
