# Copyright (c) orsa contributors. All rights reserved.
import torch

from orsa.models.utils.inputs import Maps
from orsa.registry import MODELS
from .image_stream import ImageStream


@MODELS.register_module()
class TwoStream(ImageStream):
    """An image encoder and a frozen landmark network, all maps as they are.

    :class:`orsa.ORSANet` gives one map of each as tokens of one grid; a
    fusion at several scales, as that of `POSTER++
    <https://arxiv.org/abs/2301.12149>`_, needs every map of both.

    Args:
        image_encoder (dict): Config of any backbone; its ``out_indices`` are
            the maps.
        landmark_prior (dict): Config of the landmark network,
            :class:`orsa.LandmarkPyramid` for several maps, or any other
            prior for one.
        **kwargs: See :class:`ImageStream`.

    Returns:
        tuple[Tensor]: The maps of the image encoder, then those of the
        landmark network.
    """

    def __init__(self, image_encoder: dict, landmark_prior: dict, **kwargs):
        super().__init__(image_encoder, **kwargs)
        self._add_priors(landmark_prior=landmark_prior)

    def forward(self, x: torch.Tensor) -> Maps:
        """The image encoder's maps, then the landmark network's."""
        # The prior is given x itself, by which a batch is recognised.
        landmark = self.landmark_prior(x)
        if not isinstance(landmark, (tuple, list)):
            landmark = (landmark, )
        return (*self.encode(x), *landmark)
