# Copyright (c) orsa contributors. All rights reserved.
from typing import Optional

import torch
from mmengine.model import BaseModule

from orsa.models.utils.attention import multi_head_attention
from orsa.models.utils.linear import Linear


class CrossAttention(BaseModule):
    """Multi-head attention of one stream over another.

    As published for `POSTER <https://arxiv.org/abs/2204.04083>`_ and `POSTER++
    <https://arxiv.org/abs/2301.12149>`_, keys and values are projected, and
    queries are not.

    Args:
        dims (int): Width d of the tokens.
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
        """Let ``query`` (B, M, d) attend to ``x`` (B, N, d): (B, M, d).

        ``bias`` (H, M, N) is added to the scores before their softmax.
        """
        key, value = self.kv(x).chunk(2, dim=-1)
        return self.proj(
            multi_head_attention(query, key, value, self.num_heads, bias))
