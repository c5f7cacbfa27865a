# Copyright (c) orsa contributors. All rights reserved.
import copy
from typing import Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple

from orsa.registry import MODELS
from orsa.utils.pretrained import (AllowUntrained, check_allow_untrained,
                                   check_pretrained, load_pretrained,
                                   take_pretrained)
from orsa.utils.resize import resize_images


@MODELS.register_module()
class TwoStream(BaseModule):
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
        super().__init__(init_cfg=init_cfg)
        self.allow_untrained = check_allow_untrained(allow_untrained)
        self.image_source = image_source
        self.image_size = to_2tuple(image_size)
        self.resize_mode = resize_mode

        image_encoder = copy.deepcopy(image_encoder)
        self.image_pretrained = take_pretrained(image_encoder)
        self.image_encoder = MODELS.build(image_encoder)
        landmark_prior = copy.deepcopy(landmark_prior)
        if self.allow_untrained:
            landmark_prior['allow_untrained'] = self.allow_untrained
        self.landmark_prior = MODELS.build(landmark_prior)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Initialise, load the encoder's file and let the prior load its."""
        name = f'image encoder ({type(self.image_encoder).__name__})'
        pretrained = self.image_pretrained
        # asked for first: a missing file need not wait for the rest
        found = pretrained is not None and check_pretrained(
            pretrained['checkpoint'], name, self.image_source,
            self.allow_untrained)
        super().init_weights()
        if found:
            load_pretrained(self.image_encoder, pretrained['checkpoint'], name,
                            pretrained.get('prefix'))

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        image = self.image_encoder(
            resize_images(x, self.image_size, self.resize_mode))
        # The prior is handed x itself: it remembers by it.
        return tuple(
            map_ for outs in (image, self.landmark_prior(x))
            for map_ in (outs if isinstance(outs, (tuple,
                                                   list)) else (outs, )))

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Get the layer-wise depth of a parameter in the image encoder.

        Args:
            param_name (str): The name of the parameter.
            prefix (str): The prefix of this backbone's parameters.
                Defaults to an empty string.

        Returns:
            Tuple[int, int]: The depth and the number of layers. What is not
            in the image encoder counts as the last layer.
        """
        return self.image_encoder.get_layer_depth(param_name,
                                                  f'{prefix}image_encoder.')
