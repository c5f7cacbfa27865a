# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple

from orsa.models.utils.inputs import Maps
from orsa.models.utils.linear import Linear
from orsa.registry import MODELS
from .image_stream import ImageStream


class TokenAdapter(BaseModule):
    """Lays a map (B, C, H, W) of any encoder out as a grid of tokens.

    Args:
        in_shape (tuple[int, int, int]): C, H and W.
        embed_dims (int): Width of the tokens.
        grid (tuple[int, int]): gh and gw, their number.
        layout (str): 'space' or 'memory', see :class:`ORSANet`.
    """

    def __init__(self, in_shape: Tuple[int, int, int], embed_dims: int,
                 grid: Tuple[int, int], layout: str):
        super().__init__()
        if layout not in ('space', 'memory'):
            raise ValueError("token_layout should be 'space' or 'memory', "
                             f'but got {layout!r}')
        channels, height, width = in_shape
        num_tokens = grid[0] * grid[1]
        size = channels * height * width
        if (size % num_tokens if layout == 'memory' else height % grid[0]
                or width % grid[1]):
            raise ValueError(
                f"token_layout='{layout}' cannot divide the image encoder's "
                f'map of {channels}x{height}x{width} = {size} values into '
                f'{grid[0]}x{grid[1]} = {num_tokens} tokens')
        self.in_shape = tuple(in_shape)
        self.grid = grid
        self.layout = layout
        self.proj = Linear(size // num_tokens, embed_dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens of a map (B, C, H, W) as a map of the grid (B, E, gh, gw)."""
        if tuple(x.shape[1:]) != self.in_shape:
            raise ValueError(
                f'the image encoder was expected to give {self.in_shape}, '
                f'but gave {tuple(x.shape[1:])}')
        batch, (gh, gw) = x.size(0), self.grid
        if self.layout == 'memory':
            x = x.reshape(batch, gh * gw, -1)
        else:
            channels, height, width = self.in_shape
            x = x.reshape(batch, channels, gh, height // gh, gw, width // gw)
            # (B, C, gh, rh, gw, rw) -> (B, gh, gw, C, rh, rw) -> (B, N, D)
            x = x.permute(0, 2, 4, 1, 3, 5).reshape(batch, gh * gw, -1)
        x = self.proj(x)
        return x.transpose(1, 2).reshape(batch, -1, gh, gw)


@MODELS.register_module()
class ORSANet(ImageStream):
    """An image encoder and up to two frozen priors, side by side.

    The backbone of `Rethinking Occlusion in FER: A Semantic-Aware Perspective
    and Go Beyond <https://arxiv.org/abs/2507.15401>`_. The image encoder is
    trained; the priors (see :class:`orsa.models.priors.FrozenPrior`) get the
    same images and never change.

    Args:
        image_encoder (dict): Config of any backbone whose last output is a
            map.
        parsing_prior (dict, optional): Config of the parsing prior.
        landmark_prior (dict, optional): Config of the landmark prior.
        embed_dims (int): Channels of the image map.
        grid (int | tuple[int, int]): Height and width of the image map.
        token_layout (str): How the encoder's map becomes that map: 'space', a
            pixel-unshuffle and a linear layer, or 'memory', the published
            implementation's, which cuts the memory of the map into tokens that
            are no places.
        **kwargs: See :class:`ImageStream`.

    Returns:
        tuple[Tensor]: The image map (B, embed_dims, *grid), then the parsing
        prior and the landmark prior as they are, those that exist.

    Raises:
        ValueError: If the encoder's map does not fit the grid.
    """

    def __init__(self,
                 image_encoder: dict,
                 parsing_prior: Optional[dict] = None,
                 landmark_prior: Optional[dict] = None,
                 embed_dims: int = 512,
                 grid: Union[int, Tuple[int, int]] = 7,
                 token_layout: str = 'space',
                 **kwargs):
        super().__init__(image_encoder, **kwargs)
        self.adapter = TokenAdapter(self._encoder_shape(), embed_dims,
                                    to_2tuple(grid), token_layout)
        self._add_priors(
            parsing_prior=parsing_prior, landmark_prior=landmark_prior)

    @torch.no_grad()
    def _encoder_shape(self) -> Tuple[int, int, int]:
        """Shape of the encoder's last map, from a blank image."""
        param = next(self.image_encoder.parameters())
        blank = param.new_zeros(1, 3, *self.image_size)
        self.image_encoder.eval()
        outs = self.image_encoder(blank)
        self.image_encoder.train()
        out = outs[-1] if isinstance(outs, (tuple, list)) else outs
        if not isinstance(out, torch.Tensor) or out.ndim != 4:
            shape = getattr(out, 'shape', type(out).__name__)
            raise ValueError(
                'the last output of the image encoder should be a map '
                f'(B, C, H, W), but for a {self.image_size} image '
                f'{type(self.image_encoder).__name__} gives {shape}')
        return tuple(out.shape[1:])

    def forward(self, x: torch.Tensor) -> Maps:
        """The image map and the outputs of the priors, see above."""
        outs = [self.adapter(self.encode(x)[-1])]
        # The priors are given x itself, by which a batch is recognised.
        for prior in (self.parsing_prior, self.landmark_prior):
            if prior is not None:
                outs.append(prior(x))
        return tuple(outs)
