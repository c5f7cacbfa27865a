# Copyright (c) orsa contributors. All rights reserved.
import copy
from typing import Optional, Tuple, Union

import torch
from mmengine.model import BaseModule, initialize
from mmengine.utils import to_2tuple

from orsa.models.utils.inputs import Maps
from orsa.models.utils.pretrained import (AllowUntrained,
                                          check_allow_untrained,
                                          check_pretrained, load_pretrained)
from orsa.models.utils.resize import resize_images
from orsa.models.utils.same_batch import compute_once
from orsa.registry import MODELS
from orsa.utils.checkpoint import take_pretrained


class ImageStream(BaseModule):
    """A trained image encoder, beside which subclasses have frozen priors.

    Args:
        image_encoder (dict): Config of any backbone. Its ``init_cfg`` of type
            'Pretrained' is loaded completely or refused.
        image_size (int | tuple[int, int]): Height and width of the image
            encoder's input, in pixels.
        resize_mode (str): 'nearest', as the published implementations resize
            images of another size, or 'bilinear' (antialiased).
        image_source (str, optional): Where to get the pretrained file of
            the image encoder, for the message when it is missing.
        allow_untrained (bool | str): Let the image encoder and the priors
            do without their pretrained files: True warns loudly, 'quiet'
            does not (the checkpoint of the model is loaded later).
        channels_last (bool): Whether to store the weights in that memory
            format: faster on a CPU, or on a GPU in lower precision.
        init_cfg (dict | list[dict], optional): Initialisation.
    """
    allow_untrained: AllowUntrained = False

    def __init__(self,
                 image_encoder: dict,
                 image_size: Union[int, Tuple[int, int]] = 112,
                 resize_mode: str = 'nearest',
                 image_source: Optional[str] = None,
                 allow_untrained: AllowUntrained = False,
                 channels_last: bool = False,
                 init_cfg: Optional[dict] = None):
        cfg = dict(init_cfg=init_cfg)
        self.pretrained = take_pretrained(cfg)
        super().__init__(init_cfg=cfg.get('init_cfg'))
        self.allow_untrained = check_allow_untrained(allow_untrained)
        self.image_source = image_source
        self.image_size = to_2tuple(image_size)
        self.resize_mode = resize_mode
        self.channels_last = channels_last

        image_encoder = copy.deepcopy(image_encoder)
        self.image_pretrained = take_pretrained(image_encoder)
        self.image_encoder = MODELS.build(image_encoder)

    def _add_priors(self, **cfgs: Optional[dict]) -> None:
        """Build priors, each a module of its own name, or None."""
        for name, cfg in cfgs.items():
            if cfg is not None:
                cfg = copy.deepcopy(cfg)
                if self.allow_untrained:
                    cfg['allow_untrained'] = self.allow_untrained
                cfg = MODELS.build(cfg)
            setattr(self, name, cfg)
        if self.channels_last:
            # A convolution follows its weights' format: the images need not
            # be copied, and priors still know them by identity.
            self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Initialise, load the encoder's file, let the priors load theirs.

        A Pretrained ``init_cfg`` of this backbone comes last and wins.

        Raises:
            FileNotFoundError: If a pretrained file is missing.
        """
        name = f'image encoder ({type(self.image_encoder).__name__})'
        encoder = self.image_pretrained
        # checked first: a missing file need not wait for the rest
        found = encoder is not None and check_pretrained(
            encoder['checkpoint'], name, self.image_source,
            self.allow_untrained)
        super().init_weights()
        if found:
            load_pretrained(self.image_encoder, encoder['checkpoint'], name,
                            encoder.get('prefix'))
        if self.pretrained is not None:
            initialize(self, self.pretrained)

    def encode(self, x: torch.Tensor) -> Maps:
        """The encoder's maps of images (B, 3, H, W) of any size."""
        # once for both passes of SAM, and with it what is frozen behind it
        x = compute_once(
            self, x,
            lambda x: resize_images(x, self.image_size, self.resize_mode))
        maps = self.image_encoder(x)
        return tuple(maps) if isinstance(maps, (tuple, list)) else (maps, )

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter in the image encoder; all others come last."""
        return self.image_encoder.get_layer_depth(param_name,
                                                  f'{prefix}image_encoder.')
