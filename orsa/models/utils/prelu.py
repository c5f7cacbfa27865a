# Copyright (c) orsa contributors. All rights reserved.
import torch
import torch.nn as nn


class PReLU(nn.PReLU):
    """torch's PReLU, whose kernel for bfloat16 is slow on a CPU.

    There it takes 15 ms for a map of 32x20x56x56, and this 3. Onnxruntime's is
    slow as well: exported it is written out too. Values and gradients are the
    same up to rounding.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slow = x.device.type == 'cpu' and x.dtype is torch.bfloat16
        if not (slow or torch.compiler.is_compiling()):
            return super().forward(x)
        weight = self.weight.to(x.dtype).view(-1, *[1] * (x.ndim - 2))
        positive = x.relu()
        return torch.addcmul(positive, x - positive, weight)
