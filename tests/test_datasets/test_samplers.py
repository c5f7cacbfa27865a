# Copyright (c) orsa contributors. All rights reserved.
"""Which samples a class-balanced sampler draws, by rank and after a resume."""
import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DATA_SAMPLERS
from mmpretrain.datasets import BaseDataset, KFoldDataset
from torch.utils.data import DataLoader

from orsa.datasets import ClassBalancedSampler, MultiSourceSampler
from orsa.datasets.samplers import class_balanced_sampler

# class 2 is absent
COUNTS = {0: 80, 1: 15, 3: 5}
LABELS = [c for c, n in COUNTS.items() for _ in range(n)]


class Toy(BaseDataset):
    METAINFO = dict(classes=('a', 'b', 'c', 'd'))
    epoch = None

    def __init__(self, labels=LABELS):
        self.labels = labels
        super().__init__(ann_file='', serialize_data=False)

    def load_data_list(self):
        return [dict(gt_label=label) for label in self.labels]

    def set_epoch(self, epoch):
        self.epoch = epoch

    def prepare_data(self, idx):
        return dict(idx=int(idx), draw=idx.draw)


def drawn(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return [int(i) for i in sampler]


def shares(indices, labels=LABELS):
    counts = np.bincount(np.array(labels)[indices], minlength=4)
    return counts / counts.sum()


@pytest.mark.parametrize('power', [0, 0.5, 1])
def test_classes_are_drawn_by_their_weight(power):
    sampler = ClassBalancedSampler(Toy(), power, num_samples=20000, seed=0)
    expected = np.array([COUNTS.get(c, 0)**(1 - power) for c in range(4)])
    expected[2] = 0
    found = shares(drawn(sampler))
    assert found[2] == 0
    assert np.allclose(found, expected / expected.sum(), atol=0.015)


def test_length_and_epochs():
    sampler = DATA_SAMPLERS.build(
        dict(type='orsa.ClassBalancedSampler', dataset=Toy(), seed=3))
    first = drawn(sampler)
    assert len(first) == len(sampler) == len(LABELS)
    assert first == drawn(ClassBalancedSampler(Toy(), seed=3))
    assert first != drawn(sampler, 1)
    assert first != drawn(ClassBalancedSampler(Toy(), seed=4))
    assert drawn(sampler, 1) == drawn(ClassBalancedSampler(Toy(), seed=3), 1)
    assert sampler.dataset.epoch == 1
    # seed 2 at epoch 1 is not seed 3 at epoch 0
    assert drawn(ClassBalancedSampler(Toy(), seed=2), 1) != first


@pytest.mark.parametrize('num_samples', [None, 90, 7])
@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_one_draw(monkeypatch, num_samples, world_size):
    single = list(ClassBalancedSampler(Toy(), num_samples=num_samples, seed=1))
    parts = {}
    for round_up in (True, False):
        parts[round_up] = []
        for rank in range(world_size):
            monkeypatch.setattr(class_balanced_sampler, 'get_dist_info',
                                lambda: (rank, world_size))
            sampler = ClassBalancedSampler(
                Toy(), num_samples=num_samples, seed=1, round_up=round_up)
            parts[round_up].append(list(sampler))
            assert len(parts[round_up][-1]) == len(sampler)
    for part in parts.values():
        assert len({len(p) for p in part}) == 1
    up, down = ([i for group in zip(*parts[r]) for i in group]
                for r in (True, False))
    assert up[:len(single)] == single and len(up) - len(single) < world_size
    assert up[len(single):] == single[:len(up) - len(single)]
    assert down == single[:len(down)] and len(single) - len(down) < world_size


def test_ranks_agree_on_a_seed(monkeypatch):
    monkeypatch.setattr(class_balanced_sampler, 'sync_random_seed', lambda: 42)
    assert ClassBalancedSampler(Toy()).seed == 42


def test_wrapped_datasets():
    toys = [Toy(), Toy([3] * 100)]
    for wrapped, labels in [(ConcatDataset(toys), LABELS + [3] * 100),
                            (RepeatDataset(toys[0], 2), LABELS * 2)]:
        sampler = ClassBalancedSampler(wrapped, num_samples=20000, seed=0)
        found = shares(drawn(sampler, 5), labels)
        assert np.allclose(found, [1 / 3, 1 / 3, 0, 1 / 3], atol=0.015)
        assert toys[0].epoch == 5
    assert toys[1].epoch == 5
    # a fold holds some of the samples
    fold = KFoldDataset(dict(type=Toy), fold=0, num_splits=2, seed=0)
    sampler = ClassBalancedSampler(fold, num_samples=9000, seed=0)
    labels = [fold.get_data_info(i)['gt_label'] for i in range(len(fold))]
    found = shares(drawn(sampler), labels)
    present = np.bincount(labels, minlength=4) > 0
    assert np.allclose(found[present], 1 / present.sum(), atol=0.02)


def test_draws_of_one_sample_are_told_apart():
    dataset = ConcatDataset([Toy(), Toy()])
    loader = DataLoader(
        dataset,
        batch_size=16,
        sampler=ClassBalancedSampler(dataset, num_samples=400, seed=0),
        num_workers=1)
    batches = list(loader)
    # the 10 samples of class 3 have about 133 draws
    draws = torch.cat([b['draw'] for b in batches])
    assert draws.max() >= 4 and (draws == 0).sum() > 50
    sampler = ClassBalancedSampler(dataset, num_samples=400, seed=0)
    pairs = [(int(i), i.draw) for i in sampler]
    assert len(set(pairs)) == len(pairs)
    assert draws.tolist() == [draw for _, draw in pairs]


def test_bad_input():
    with pytest.raises(TypeError, match='get_gt_labels'):
        ClassBalancedSampler([1, 2, 3])
    with pytest.raises(ValueError, match='0 draws'):
        ClassBalancedSampler(Toy(), num_samples=0, seed=0)


def sources(sizes=(7, 40, 3)):
    return ConcatDataset([Toy([0] * n) for n in sizes])


def test_sources_have_their_shares_in_each_epoch_and_over_all():
    dataset = sources()
    sampler = DATA_SAMPLERS.build(
        dict(
            type='orsa.MultiSourceSampler',
            dataset=dataset,
            shares=[2, 1, 1],
            num_samples=21,
            seed=5))
    assert len(sampler) == 21
    total = np.zeros(3)
    for epoch in range(8):
        counts = np.histogram(drawn(sampler, epoch), [0, 7, 47, 50])[0]
        assert counts.sum() == 21
        assert np.abs(counts - [10.5, 5.25, 5.25]).max() < 2
        total += counts
    assert total.tolist() == [84, 42, 42]
    # of a source all are drawn before one is drawn again
    seen = np.bincount(
        np.concatenate([drawn(sampler, epoch) for epoch in range(8)]),
        minlength=50)
    assert seen[:7].tolist() == [12] * 7 and seen[47:].tolist() == [14] * 3
    assert sorted(set(seen[7:47])) == [1, 2]


def test_draws_of_a_small_source_are_told_apart():
    sampler = MultiSourceSampler(sources(), [1, 1, 1], 60, seed=2)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        pairs = [(int(i), i.draw) for i in sampler]
        assert len(set(pairs)) == 60
        # 20 draws of each: of 7 samples, of 40 and of 3
        most = [
            max(draw for i, draw in pairs if start <= i < stop)
            for start, stop in [(0, 7), (7, 47), (47, 50)]
        ]
        assert 2 <= most[0] <= 3 and most[1] <= 1 and 6 <= most[2] <= 7


def test_sources_after_a_resume_and_on_several_ranks(monkeypatch):
    from orsa.datasets.samplers import multi_source_sampler as module
    whole = module.MultiSourceSampler(sources(), [1, 1, 0], 20, seed=1)
    again = module.MultiSourceSampler(sources(), [1, 1, 0], 20, seed=1)
    drawn(again, 0)
    assert drawn(whole, 3) == drawn(again, 3) != drawn(whole, 4)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(module, 'get_dist_info', lambda: (rank, 2))
        one = module.MultiSourceSampler(sources(), [1, 1, 0], 20, seed=1)
        parts.append(drawn(one, 3))
    assert sorted(parts[0] + parts[1]) == sorted(drawn(whole, 3))


@pytest.mark.parametrize('shares', [[1, 1], [1, -1, 1], [0, 0, 0]])
def test_shares_that_make_no_sense(shares):
    with pytest.raises(ValueError, match='shares should be 3 numbers'):
        MultiSourceSampler(sources(), shares, 10)
    with pytest.raises(TypeError, match='ConcatDataset.*Toy'):
        MultiSourceSampler(Toy(), [1], 10)
