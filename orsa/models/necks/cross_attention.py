# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule

from orsa.utils.linear import Linear

_LOW = (torch.bfloat16, torch.float16)


def multi_head_attention(query: torch.Tensor,
                         key: torch.Tensor,
                         value: torch.Tensor,
                         num_heads: int,
                         bias: Optional[torch.Tensor] = None) -> torch.Tensor:
    """Attention of H heads without any projection.

    Args:
        query (Tensor): (B, M, d).
        key (Tensor): (B, N, d).
        value (Tensor): (B, N, d).
        num_heads (int): H.
        bias (Tensor, optional): (H, M, N), added to the scores before their
            softmax. Defaults to None.

    Returns:
        Tensor: (B, M, d).
    """
    query, key, value = (
        # (B, N, d) -> (B, H, N, d / H)
        t.unflatten(2, (num_heads, -1)).transpose(1, 2)
        for t in (query, key, value))
    bias = None if bias is None else bias[None]
    if query.device.type == 'cpu' and (query.dtype in _LOW
                                       or torch.is_autocast_enabled('cpu')):
        # torch's gradient of it in bfloat16 is several times slower
        with torch.autocast('cpu', enabled=False):
            out = F.scaled_dot_product_attention(
                query.float(), key.float(), value.float(),
                None if bias is None else bias.float()).to(value.dtype)
    else:
        out = F.scaled_dot_product_attention(query, key, value, bias)
    return out.transpose(1, 2).flatten(2)


class CrossAttention(BaseModule):
    """Multi-head attention in which one stream asks another.

    The queries are taken as they are: as in the published implementations of
    `POSTER <https://arxiv.org/abs/2204.04083>`_ and `POSTER++
    <https://arxiv.org/abs/2301.12149>`_, keys and values are projected, and
    queries are not. Symbols: B images, M tokens that ask and N that answer, d
    their width, H heads.

    Args:
        dims (int): d.
        num_heads (int): H.

    Raises:
        ValueError: If d does not divide into H.
    """

    def __init__(self, dims: int, num_heads: int):
        super().__init__()
        if dims % num_heads:
            raise ValueError(f'dims={dims} features do not divide into '
                             f'num_heads={num_heads}')
        self.num_heads = num_heads
        self.kv = Linear(dims, 2 * dims)
        self.proj = Linear(dims, dims)

    def forward(self,
                query: torch.Tensor,
                x: torch.Tensor,
                bias: Optional[torch.Tensor] = None) -> torch.Tensor:
        """Let ``query`` (B, M, d) ask ``x`` (B, N, d), giving (B, M, d).

        ``bias`` (H, M, N) is added to the scores before their softmax.
        """
        key, value = self.kv(x).chunk(2, dim=-1)
        return self.proj(
            multi_head_attention(query, key, value, self.num_heads, bias))
