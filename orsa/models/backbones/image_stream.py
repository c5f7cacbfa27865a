# Copyright (c) orsa contributors. All rights reserved.
import copy
from typing import Optional, Tuple, Union

import torch
import torch.nn as nn
from mmengine.model import BaseModule, initialize
from mmengine.utils import to_2tuple

from orsa.models.utils.pretrained import (AllowUntrained,
                                          check_allow_untrained,
                                          check_pretrained, load_pretrained)
from orsa.models.utils.resize import resize_images
from orsa.registry import MODELS
from orsa.utils.checkpoint import take_pretrained


class ImageStream(BaseModule):
    """An image encoder beside which frozen priors are asked.

    What :class:`orsa.ORSANet` and :class:`orsa.TwoStream` share, see there
    for the arguments.
    """

    def __init__(self,
                 image_encoder: dict,
                 image_size: Union[int, Tuple[int, int]],
                 resize_mode: str,
                 image_source: Optional[str],
                 allow_untrained: AllowUntrained,
                 init_cfg: Optional[dict] = None):
        cfg = dict(init_cfg=init_cfg)
        self.pretrained = take_pretrained(cfg)
        super().__init__(init_cfg=cfg.get('init_cfg'))
        self.allow_untrained = check_allow_untrained(allow_untrained)
        self.image_source = image_source
        self.image_size = to_2tuple(image_size)
        self.resize_mode = resize_mode

        image_encoder = copy.deepcopy(image_encoder)
        self.image_pretrained = take_pretrained(image_encoder)
        self.image_encoder = MODELS.build(image_encoder)

    def _build_prior(self, cfg: Optional[dict]) -> Optional[nn.Module]:
        if cfg is None:
            return None
        cfg = copy.deepcopy(cfg)
        if self.allow_untrained:
            cfg['allow_untrained'] = self.allow_untrained
        return MODELS.build(cfg)

    def init_weights(self) -> None:
        """Initialise, load the encoder's file, let the priors load theirs.

        A Pretrained ``init_cfg`` of this backbone comes last: as everywhere in
        MMEngine, what is named for the whole wins over what its parts begin
        with.
        """
        name = f'image encoder ({type(self.image_encoder).__name__})'
        encoder = self.image_pretrained
        # asked for first: a missing file need not wait for the rest
        found = encoder is not None and check_pretrained(
            encoder['checkpoint'], name, self.image_source,
            self.allow_untrained)
        super().init_weights()
        if found:
            load_pretrained(self.image_encoder, encoder['checkpoint'], name,
                            encoder.get('prefix'))
        if self.pretrained is not None:
            initialize(self, self.pretrained)

    def encode(self, x: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """The encoder's maps of images (B, 3, H, W) of any size."""
        maps = self.image_encoder(
            resize_images(x, self.image_size, self.resize_mode))
        return tuple(maps) if isinstance(maps, (tuple, list)) else (maps, )

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
