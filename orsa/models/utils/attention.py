# Copyright (c) orsa contributors. All rights reserved.
"""Attention of several heads, as all parts compute it."""
from typing import Optional

import torch
import torch.nn.functional as F

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
            softmax.

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
