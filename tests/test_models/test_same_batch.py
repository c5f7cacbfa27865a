# Copyright (c) orsa contributors. All rights reserved.
"""A frozen prior computes once for a batch, and gets what comes with it."""
import threading

import pytest
import torch

from orsa.models.utils.same_batch import (compute_once, current_memory,
                                          provide, provided, same_batch)


class Counter:
    """Doubles what it gets, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * 2


def test_memory_ends_with_its_batch_even_after_an_error():
    double, x = Counter(), torch.rand(2)
    with pytest.raises(RuntimeError, match='mid-batch'):
        with same_batch():
            compute_once(double, x, double)
            raise RuntimeError('mid-batch')
    assert current_memory() is None
    with same_batch():
        compute_once(double, x, double)
    assert double.calls == 2


def test_of_a_pass_in_half_precision_in_one_without():
    x = torch.rand(2, 3)
    layer = torch.nn.Linear(3, 1)
    with same_batch(), torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            first, = compute_once(layer, x, lambda x: (layer(x), ))
            assert first.dtype is torch.bfloat16
        second, = compute_once(layer, x, None)
    assert second.dtype is torch.float32
    assert torch.equal(second, first.float())


def test_an_inner_batch_is_another_one():
    double, x = Counter(), torch.rand(2)
    with same_batch() as outer:
        first = compute_once(double, x, double)
        with same_batch() as inner:
            assert compute_once(double, x, double) is not first
        assert current_memory() is outer is not inner
        assert compute_once(double, x, double) is first
    assert double.calls == 2


def test_a_batch_can_be_gone_on_with():
    double, x = Counter(), torch.rand(2)
    with same_batch() as memory:
        first = compute_once(double, x, double)
    with same_batch(memory):
        assert compute_once(double, x, double) is first
    assert double.calls == 1


def test_what_was_written_to_and_who_else_asks_are_computed_anew():
    double, other, x = Counter(), Counter(), torch.ones(2)
    with same_batch():
        compute_once(double, x, double)
        compute_once(other, x, other)
        assert (double.calls, other.calls) == (1, 1)
        x.add_(1)
        assert compute_once(double, x, double).tolist() == [4, 4]
    assert double.calls == 2


def test_another_thread_is_not_in_the_batch():
    seen = []
    with same_batch():
        thread = threading.Thread(target=lambda: seen.append(current_memory()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_values_travel_with_the_very_tensor():
    x, fold = torch.rand(3, 3, 4, 4), torch.tensor([0, 1, -1])
    assert provided(x, 'fold') is None
    assert provide(x, fold=fold) is x
    assert provided(x, 'fold') is fold and provided(x, 'other') is None
    # more can be added, and a later value replaces an earlier one
    provide(x, other=torch.zeros(3, 2))
    assert provided(x, 'fold') is fold and provided(x, 'other').shape == (3, 2)
    provide(x, fold=fold + 1)
    assert provided(x, 'fold').tolist() == [1, 2, 0]
    # what is made from it is another batch
    for made in (x.clone(), x[:2], x.flip(3), x.double()):
        assert provided(made, 'fold') is None


def test_tensors_do_not_share_what_they_are_given():
    a, b = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    provide(a, fold=torch.tensor([0]))
    provide(b, fold=torch.tensor([1]))
    assert provided(a, 'fold').item() == 0


def test_each_value_has_a_row_for_each_image():
    x = torch.rand(3, 3, 4, 4)
    with pytest.raises(ValueError, match="'fold' .* 3 images, but has 2"):
        provide(x, fold=torch.tensor([0, 1]))
    assert provided(x, 'fold') is None
