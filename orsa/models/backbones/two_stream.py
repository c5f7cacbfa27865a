# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Tuple, Union

import torch

from orsa.models.utils.pretrained import AllowUntrained
from orsa.registry import MODELS
from .image_stream import ImageStream


@MODELS.register_module()
class TwoStream(ImageStream):
    """An image encoder and a frozen landmark network, all maps as they are.

    :class:`orsa.ORSANet` hands on one map of each as tokens of one grid; a
    fusion at several scales, as that of `POSTER++
    <https://arxiv.org/abs/2301.12149>`_, wants every map of both.

    Args:
        image_encoder (dict): Config of any backbone; its ``out_indices`` say
            which maps. Its ``init_cfg`` of type 'Pretrained' is loaded
            completely or refused.
        landmark_prior (dict): Config of the landmark network,
            :class:`orsa.LandmarkPyramid` for several maps, or any other
            prior for one.
        image_size (int | tuple[int, int]): Height and width that the image
            encoder works at, in pixels. Defaults to 112.
        resize_mode (str): How images of another size are resized for the
            encoder, 'nearest' as the published implementation does, or
            'bilinear' (antialiased). Defaults to 'nearest'.
        image_source (str, optional): Where to get the pretrained file of
            the image encoder; part of the message when it is missing.
        allow_untrained (bool | str): Let both streams do without their
            pretrained files: True warns loudly, 'quiet' does not (a whole
            checkpoint is loaded later). Defaults to False.
        channels_last (bool): Whether to keep the weights in that memory
            format. Results differ by rounding only. Defaults to False.
        init_cfg (dict | list[dict], optional): Initialisation.
            Defaults to None.

    Returns:
        tuple[Tensor]: The maps of the image encoder, then those of the
        landmark network.

    Raises:
        FileNotFoundError: From :meth:`init_weights`, if a pretrained file is
            missing.
    """

    def __init__(self,
                 image_encoder: dict,
                 landmark_prior: dict,
                 image_size: Union[int, Tuple[int, int]] = 112,
                 resize_mode: str = 'nearest',
                 image_source: Optional[str] = None,
                 allow_untrained: AllowUntrained = False,
                 channels_last: bool = False,
                 init_cfg: Optional[dict] = None):
        super().__init__(image_encoder, image_size, resize_mode, image_source,
                         allow_untrained, init_cfg)
        self.landmark_prior = self._build_prior(landmark_prior)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        # The prior is handed x itself: it remembers by it.
        landmark = self.landmark_prior(x)
        if not isinstance(landmark, (tuple, list)):
            landmark = (landmark, )
        return (*self.encode(x), *landmark)
