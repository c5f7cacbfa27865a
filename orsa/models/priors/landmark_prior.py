# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Tuple, Union

import torch
import torch.nn as nn

from orsa.registry import MODELS
from .frozen_prior import FrozenPrior


def keypoints_from_heatmaps(heatmaps: torch.Tensor,
                            align_corners: bool = False) -> torch.Tensor:
    """Place of the peak of each heatmap, refined by its neighbours.

    The rule of mmpose's ``MSRAHeatmap`` codec (a quarter of a pixel towards
    the higher neighbour), for a whole batch and without leaving the device.

    Args:
        heatmaps (Tensor): Of shape (B, K, h, w).
        align_corners (bool): Whether the maps' outermost pixels are the
            image's, as for mmpose's ``UDPHeatmap``.

    Returns:
        Tensor: x and y in [0, 1] and the peak's value, clamped to [0, 1], of
        shape (B, K, 3).
    """
    batch, count, height, width = heatmaps.shape
    flat = heatmaps.flatten(2)
    score, index = flat.max(dim=2)
    x, y = index % width, index // width

    def neighbour(dx: int, dy: int) -> torch.Tensor:
        place = ((y + dy).clamp(0, height - 1) * width +
                 (x + dx).clamp(0, width - 1))
        return flat.gather(2, place[..., None])[..., 0]

    # mmpose leaves peaks at the border as they are, these ones exactly
    inner_x = (x > 1) & (x < width - 1) & (y > 0)
    inner_y = (y > 1) & (y < height - 1) & (x > 0)
    shift_x = torch.sign(neighbour(1, 0) - neighbour(-1, 0)) * 0.25 * inner_x
    shift_y = torch.sign(neighbour(0, 1) - neighbour(0, -1)) * 0.25 * inner_y
    if align_corners:
        width, height = max(width - 1, 1), max(height - 1, 1)
    return torch.stack([(x + shift_x) / width, (y + shift_y) / height,
                        score.clamp(0, 1)],
                       dim=-1)


def _keypoints_from_simcc(simcc_x: torch.Tensor,
                          simcc_y: torch.Tensor) -> torch.Tensor:
    """Place of the maxima of the two one-dimensional codes of SimCC."""
    score_x, x = simcc_x.max(dim=2)
    score_y, y = simcc_y.max(dim=2)
    score = torch.minimum(score_x, score_y).clamp(0, 1)
    return torch.stack([x / simcc_x.size(2), y / simcc_y.size(2), score],
                       dim=-1)


@MODELS.register_module()
class LandmarkPrior(FrozenPrior):
    """A frozen face-landmark model, or its backbone.

    Args:
        model (dict): Config of an mmpose top-down estimator with a heatmap,
            SimCC or regression head, or of any backbone. One that has a method
            ``predict_landmarks`` (:class:`orsa.MobileFaceNet` with its head)
            gives keypoints too.
        output (str): 'feature', a map (B, C, h, w) of the backbone;
            'heatmaps' (B, K, h, w) of K landmarks; or 'keypoints' (B, K, 3),
            x and y in [0, 1] and a confidence.
        num_keypoints (int, optional): K as the following parts expect
            it; checked when built.
        **kwargs: See :class:`FrozenPrior`.

    Raises:
        ValueError: If the estimator has another number of landmarks, or no
            head that gives the output.
    """

    outputs = ('feature', 'heatmaps', 'keypoints')
    cache_key = 'prior_landmarks'

    def __init__(self,
                 model: dict,
                 output: str = 'feature',
                 num_keypoints: Optional[int] = None,
                 **kwargs):
        super().__init__(model, output, **kwargs)
        has_head = getattr(self.model, 'head', self.model) is not None
        self._is_estimator = has_head and hasattr(self.model, 'extract_feat')
        # orsa.MobileFaceNet has the method without the head too
        self._has_own_points = has_head and hasattr(self.model,
                                                    'predict_landmarks')
        if output == 'feature':
            return
        own = output == 'keypoints' and self._has_own_points
        self._check(self._is_estimator or own,
                    f"LandmarkPrior.output='{output}'")
        # computed once, so that a head of another kind is found out here
        count = self.blank_output().size(1)
        if num_keypoints not in (None, count):
            raise ValueError(f'LandmarkPrior.num_keypoints={num_keypoints}, '
                             f'but {type(self.model).__name__} gives {count}')

    @property
    def can_locate(self) -> bool:
        """Whether the model gives keypoints, whatever ``output`` is."""
        return self._is_estimator or self._has_own_points

    @property
    def gives_visibility(self) -> bool:
        """Whether the confidence of a keypoint is its visibility."""
        return self._is_estimator and hasattr(self.model.head, 'pose_head')

    def _check(self, able: bool, what: str) -> None:
        if not able:
            headless = getattr(self.model, 'head', self.model) is None
            raise ValueError(f'{what} needs an estimator such as '
                             'mmpose.TopdownPoseEstimator, but got '
                             f'{type(self.model).__name__}'
                             f'{" without its head" if headless else ""}')

    def locate(self, x: torch.Tensor) -> torch.Tensor:
        """Predict keypoints, whatever ``output`` is; folds do not count.

        Args:
            x (Tensor): Images (B, 3, H, W) as the classifier gets them.

        Returns:
            Tensor: Keypoints (B, K, 3), without gradients: x and y in [0, 1]
            and a confidence. As in mmpose, 0 is the centre of the first pixel
            of the model's input, and 1 lies one pixel behind the last.

        Raises:
            ValueError: If the model has no head for it.
        """
        self._check(self.can_locate, 'LandmarkPrior.locate')
        return self.predict(x, 'keypoints')

    def _extract(self, model: nn.Module, x: torch.Tensor,
                 output: str) -> torch.Tensor:
        if output == 'feature':
            return super()._extract(model, x, output)
        if self._has_own_points:
            return _from_coordinates(model.predict_landmarks(x))
        out = model.head(model.extract_feat(x))
        if output == 'keypoints':
            return _keypoints(model.head, out)
        maps = _heatmaps(out)
        if not maps:
            raise ValueError(
                "LandmarkPrior.output='heatmaps' needs a heatmap head, but "
                f"got {type(model.head).__name__}; use 'keypoints'")
        return maps[-1]


def _heatmaps(out: Union[torch.Tensor, Tuple]) -> List[torch.Tensor]:
    """Heatmaps in the output of a head, those of the last stage last."""
    outs = out if isinstance(out, (tuple, list)) else (out, )
    return [o for o in outs if o.ndim == 4]


def _from_coordinates(out: torch.Tensor) -> torch.Tensor:
    """(B, K, 2) or, with the deviations of RLE heads, (B, K, 4)."""
    confidence = (1 - out[..., 2:4].sigmoid().mean(-1, keepdim=True)
                  if out.size(-1) == 4 else torch.ones_like(out[..., :1]))
    return torch.cat([out[..., :2].clamp(0, 1), confidence], dim=-1)


def _keypoints(head: nn.Module, out: Union[torch.Tensor,
                                           Tuple]) -> torch.Tensor:
    """Keypoints (B, K, 3) of what any head of mmpose gives."""
    if hasattr(head, 'pose_head'):  # VisPredictHead: visibility beside them
        points = _keypoints(head.pose_head, out[0])
        return torch.cat([points[..., :2], out[1][..., None]], dim=-1)
    if isinstance(out, torch.Tensor) and out.ndim == 3:
        return _from_coordinates(out)
    maps = _heatmaps(out)
    if maps and (isinstance(out, torch.Tensor) or len(maps) == len(out)):
        codec = type(getattr(head, 'decoder', None)).__name__
        return keypoints_from_heatmaps(
            maps[-1], align_corners=codec == 'UDPHeatmap')
    if maps:  # DSNT and integral regression: coordinates, then maps
        return _from_coordinates(out[0])
    return _keypoints_from_simcc(out[0], out[1])


def locate_from_edge(prior: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Landmarks of a prior, counted from the edge of the image.

    Args:
        prior (nn.Module): An ``orsa.LandmarkPrior``, which counts from the
            centre of the first pixel of its own input.
        images (Tensor): (B, 3, H, W) as the classifier gets them.

    Returns:
        Tensor: (B, K, 3), x and y as fractions of the sides, confidence.
    """
    points = prior.locate(images)
    height, width = prior.input_size or images.shape[2:]
    return points + points.new_tensor([0.5 / width, 0.5 / height, 0.])
