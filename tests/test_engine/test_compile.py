# Copyright (c) orsa contributors. All rights reserved.
"""Compiled parts compute the same gradients."""
from types import SimpleNamespace

import pytest
import torch
from speed.step import random_batch, random_model

from orsa.apis import load_config
from orsa.engine import CompileHook


def gradients(model, batch):
    torch.manual_seed(0)
    data = model.data_preprocessor(batch, True)
    model.parse_losses(model(**data, mode='loss'))[0].backward()
    return {
        k: p.grad
        for k, p in model.named_parameters() if p.grad is not None
    }


def test_compiles_its_parts_alone(repo_root):
    cfg = load_config(str(repo_root / 'configs/orsanet_demo.py'))
    batch = random_batch(cfg, 2, 64)
    expected = gradients(random_model(cfg), batch)

    model, compiled = random_model(cfg), []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    names = set(model.state_dict())
    hook = CompileHook(parts=['backbone.image_encoder'], backend=backend)
    hook.before_train(SimpleNamespace(model=model))
    found = gradients(model, batch)
    assert compiled and set(model.state_dict()) == names
    assert found.keys() == expected.keys()
    for name, grad in found.items():
        torch.testing.assert_close(grad, expected[name])

    count = len(compiled)
    model.neck(model.backbone(torch.randn(2, 3, 64, 64)))
    CompileHook(
        parts=['neck'],
        backend=backend).before_train(SimpleNamespace(model=model))
    gradients(model, batch)
    assert len(compiled) > count
    with pytest.raises(AttributeError, match='nose'):
        CompileHook(parts=['nose']).before_train(SimpleNamespace(model=model))
