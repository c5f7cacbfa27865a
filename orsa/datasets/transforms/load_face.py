# Copyright (c) orsa contributors. All rights reserved.
import io
from typing import Optional, Tuple

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from orsa.registry import TRANSFORMS

# What is said in pixels of the file
_IN_PIXELS = ('gt_keypoints', 'keypoints', 'seg_map_path', 'gt_seg_map',
              'visible_mask', 'gt_bboxes', 'bbox')
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2
}
_ORIENTATION = 0x0112


@TRANSFORMS.register_module()
class LoadFace(LoadImageFromFile):
    """Load a picture that will be made smaller, a JPEG at reduced size.

    A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size for less work: of
    each block of 8 x 8 only the lower frequencies are computed. This takes
    the smallest of these whose shorter side is still ``min_size``. Other
    formats are loaded as they are, and so is a sample with landmarks, boxes or
    masks: they count the pixels of the file.

    **Required Keys:** img_path

    **Added Keys:** img (h, w, 3), BGR uint8; img_shape, its (h, w); ori_shape,
    (H, W) of the file, as it is shown

    Args:
        min_size (int): The shorter side that is needed, in pixels. The side
            of the network's input suits an antialiased ``Resize``, twice of
            it suits ``RandomFaceAffine``, which may enlarge the face.
        **kwargs: ``backend_args``, ``to_float32`` and ``ignore_empty`` of
            mmcv's ``LoadImageFromFile``.

    Raises:
        ValueError: If ``min_size`` is not positive, or what is to be decoded
            is not colour by OpenCV.
    """

    def __init__(self, min_size: int, **kwargs):
        super().__init__(**kwargs)
        if min_size < 1:
            raise ValueError(f'min_size should be positive, got {min_size}')
        if (self.color_type, self.imdecode_backend) != ('color', 'cv2'):
            raise ValueError(
                "LoadFace decodes color_type='color' by imdecode_backend="
                f"'cv2', got '{self.color_type}' by '{self.imdecode_backend}'."
                ' Take LoadImageFromFile')
        if self.file_client_args is not None:
            raise ValueError('LoadFace takes backend_args, not '
                             'file_client_args, which mmcv has deprecated')
        self.min_size = min_size

    def transform(self, results: dict) -> Optional[dict]:
        """Load the picture."""
        if any(key in results for key in _IN_PIXELS):
            return super().transform(results)
        try:
            content = fileio.get(
                results['img_path'], backend_args=self.backend_args)
            factor, shape = self._look(content)
            img = mmcv.imfrombytes(
                content, flag=_REDUCED.get(factor, self.color_type))
        except Exception:
            if self.ignore_empty:
                return None
            raise
        if img is None:
            raise OSError(f"'{results['img_path']}' does not decode")
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = img.shape[:2]
        results['ori_shape'] = img.shape[:2] if factor == 1 else shape
        return results

    def _look(self, content: bytes) -> Tuple[int, Tuple[int, int]]:
        """By how much to reduce a file, and its (H, W), from its header."""
        try:
            # reads no pixels
            with Image.open(io.BytesIO(content)) as header:
                width, height = header.size
                kind = header.format
                turned = (
                    kind == 'JPEG'
                    and header.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8))
        except Exception:  # of many kinds: decoding it will say which
            return 1, (0, 0)
        for factor in _REDUCED:
            if kind == 'JPEG' and min(width,
                                      height) // factor >= self.min_size:
                return factor, (width, height) if turned else (height, width)
        return 1, (height, width)

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, min_size={self.min_size})'
