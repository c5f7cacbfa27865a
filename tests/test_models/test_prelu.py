# Copyright (c) orsa contributors. All rights reserved.
import pytest
import torch
import torch.nn as nn

from orsa.models.utils.prelu import PReLU


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('shape', [(2, 3, 5, 5), (4, 3)])
def test_is_torchs_with_its_gradients(dtype, shape):
    torch.manual_seed(0)
    plain = nn.PReLU(3)
    plain.weight.data = torch.tensor([.25, -.5, 2.])
    ours = PReLU(3)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(shape)
    x.view(-1)[0] = 0.  # where the slope changes
    results = []
    for act in (plain, ours):
        own = x.to(dtype).requires_grad_()
        out = act.to(dtype)(own)
        out.sum().backward()
        results.append((out, own.grad, act.weight.grad))
    for expected, found in zip(*results):
        assert found.dtype is expected.dtype
        torch.testing.assert_close(found, expected, rtol=.02, atol=.05)
    assert torch.equal(results[0][1], results[1][1])
