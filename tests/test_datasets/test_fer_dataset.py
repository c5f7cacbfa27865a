# Copyright (c) orsa contributors. All rights reserved.
"""Labels by name, subsets, unreadable images and seeds of a FERDataset."""
import copy
import pickle
import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import DataLoader

from orsa.datasets import RAFDB, AffectNet, FERDataset, FERPlus, OccluFER
from orsa.datasets.seeding import (RepeatedIndex, SharedEpoch, seeded,
                                   set_dataset_epoch)

LABELS = ['happiness', 'anger', 'happiness', 'fear', 'neutral', 'anger']


class Draw:
    """A transform that draws from all three generators."""

    def __call__(self, results):
        return dict(
            idx=results['sample_idx'],
            drawn=torch.tensor([
                random.random(),
                np.random.rand(),
                torch.rand(1, dtype=torch.float64).item()
            ],
                               dtype=torch.float64))


@pytest.fixture
def tree(tmp_path):
    image = np.full((8, 8, 3), 128, np.uint8)
    lines = []
    for i, label in enumerate(LABELS):
        cv2.imwrite(str(tmp_path / f'{i}.png'), image)
        lines.append(f'{i}.png {label}')
    # Windows line ends and blank lines
    (tmp_path / 'list.txt').write_bytes('\r\n'.join(lines + ['', '']).encode())
    return tmp_path


def build(tree, **kwargs):
    kwargs = dict(ann_file='list.txt', pipeline=[Draw()], **kwargs)
    return FERDataset(data_root=str(tree), **kwargs)


def names(dataset):
    return [dataset.get_data_info(i)['name'] for i in range(len(dataset))]


def draws(dataset, num_workers=0):
    loader = DataLoader(dataset, batch_size=2, num_workers=num_workers)
    return torch.cat([batch['drawn'] for batch in loader])


def test_labels_follow_the_names(tree):
    dataset = build(tree)
    assert dataset.CLASSES == ('surprise', 'fear', 'disgust', 'happiness',
                               'sadness', 'anger', 'neutral')
    assert dataset.get_gt_labels().tolist() == [3, 5, 3, 1, 6, 5]
    affectnet = ('neutral', 'happiness', 'sadness', 'surprise', 'fear',
                 'disgust', 'anger', 'contempt')
    dataset = build(tree, classes=affectnet)
    assert dataset.get_gt_labels().tolist() == [1, 6, 1, 4, 0, 6]
    assert dataset.metainfo['classes'] == affectnet
    assert dataset.get_data_info(0).keys() == {
        'img_path', 'name', 'gt_label', 'sample_idx'
    }


def test_classes_as_soft_targets(tree):
    dataset = build(tree, targets='one-hot', classes=['anger', 'happiness'])
    found = np.stack([dataset.get_data_info(i)['gt_score'] for i in range(4)])
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    with pytest.raises(ValueError, match="targets must be.*'votes'"):
        build(tree, targets='votes')


def test_classes_left_out_are_dropped_and_counted(tree):
    dataset = build(tree, metainfo=dict(classes=['anger', 'happiness']))
    assert dataset.get_gt_labels().tolist() == [1, 0, 1, 0]
    assert names(dataset) == ['0', '1', '2', '5']
    assert dataset.num_dropped == dict(fear=1, neutral=1)
    with pytest.raises(ValueError, match='no sample is left'):
        build(tree, classes=['disgust'])


@pytest.mark.parametrize('classes, message',
                         [(['anger', 'anger'], 'named twice'),
                          ([], 'unknown classes')])
def test_bad_classes(tree, classes, message):
    with pytest.raises(ValueError, match=message):
        build(tree, classes=classes)


def test_classes_of_any_name_in_a_list(tree):
    (tree / 'list.txt'
     ).write_text('0.png pain\n1.png no pain\n2.png anger\n5.png no pain\n')
    dataset = build(tree, classes=['no pain', 'pain'])
    assert dataset.get_gt_labels().tolist() == [1, 0, 0]
    assert names(dataset) == ['0', '1', '5']
    assert dataset.num_dropped == dict(anger=1)
    (tree / 'list.txt').write_text('0.png pain\n1.png bored\n')
    with pytest.raises(ValueError, match="list.txt:2: .*'1.png bored'"):
        build(tree, classes=['no pain', 'pain'])


@pytest.mark.parametrize('published', [AffectNet, FERPlus, OccluFER, RAFDB])
def test_published_sets_have_classes_of_their_own(published):
    with pytest.raises(ValueError, match="unknown classes.*'joy'"):
        published(classes=['anger', 'joy'], lazy_init=True)


@pytest.mark.parametrize('text, expected',
                         [('3\n0\r\n\n', ['0', '3']),
                          ('# chosen\n2.png 3 1\n5 x\n2', ['2', '5'])])
def test_subset_file_selects_by_name(tree, text, expected):
    (tree / 'subset.txt').write_text(text)
    assert names(build(tree, subset_file='subset.txt')) == expected
    assert names(build(tree, subset_file=str(tree / 'subset.txt'))) == expected


def test_subset_file_selects_by_index(tree):
    text = (tree / 'list.txt').read_text()
    for i in range(len(LABELS)):
        (tree / f'{i}.png').rename(tree / f'face_{i}.png')
        text = text.replace(f'{i}.png', f'face_{i}.png')
    (tree / 'list.txt').write_text(text)
    (tree / 'subset.txt').write_text('4\n1\n3\n')
    # counted before the classes are left out
    dataset = build(tree, subset_file='subset.txt', classes=['fear', 'anger'])
    assert names(dataset) == ['face_1', 'face_3']
    (tree / 'subset.txt').write_text('4\nface_9\n')
    with pytest.raises(ValueError, match="subset.txt:1: '4' is not among"):
        build(tree, subset_file='subset.txt')
    (tree / 'subset.txt').write_text('4\n6\n')
    with pytest.raises(ValueError, match="subset.txt:2: '6' is not among"):
        build(tree, subset_file='subset.txt')
    with pytest.raises(FileNotFoundError, match='nowhere.txt'):
        build(tree, subset_file='nowhere.txt')


@pytest.mark.parametrize('path', ['2.png', './2.png', 'x/../2.png'])
def test_an_image_is_listed_once(tree, path):
    with open(tree / 'list.txt', 'a') as f:
        f.write(f'{path} fear\n')
    with pytest.raises(ValueError, match=r'list.txt:8: .*first in line 3'):
        build(tree).full_init()


def test_malformed_list_and_missing_list(tree):
    with open(tree / 'list.txt', 'a') as f:
        f.write('7.png joy\n')
    with pytest.raises(ValueError, match=r"list.txt:8: .*'7.png joy'"):
        build(tree)
    with pytest.raises(FileNotFoundError, match="is not at '.*none.txt'"):
        FERDataset(ann_file='none.txt', data_root=str(tree))


def load_pipeline():
    init_default_scope('mmpretrain')
    return [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.mark.parametrize('content', [b'', b'no image', None, 'half'])
def test_unreadable_image(tree, content):
    path = tree / '1.png'
    if content is None:
        path.unlink()
    elif content == 'half':
        path.write_bytes(path.read_bytes()[:40])
    else:
        path.write_bytes(content)
    config = dict(
        type='orsa.FERDataset',
        ann_file='list.txt',
        data_root=str(tree),
        pipeline=load_pipeline())
    for test_mode in (False, True):
        dataset = DATASETS.build(dict(config, test_mode=test_mode))
        assert len(dataset) == 6
        with pytest.raises(OSError, match="cannot read '.*1.png'"):
            dataset[1]
    dataset = DATASETS.build(
        dict(config, test_mode=True, skip_unreadable=True))
    assert len(dataset) == 5 and names(dataset) == ['0', '2', '3', '4', '5']
    assert dataset.skipped == ['1']
    assert dataset.metainfo['num_skipped'] == 1
    assert dataset[1]['data_samples'].gt_label.item() == 3


def test_an_error_of_the_pipeline_is_not_blamed_on_the_image(tree):

    def fail(results):
        raise KeyError('a bug')

    dataset = FERDataset('list.txt', data_root=str(tree), pipeline=[fail])
    with pytest.raises(KeyError, match='a bug'):
        dataset[0]


def test_random_numbers_do_not_depend_on_workers(tree):
    dataset = build(tree, seed=7)
    dataset.set_epoch(0)
    alone = draws(dataset)
    assert len(alone.unique()) == alone.numel()
    assert torch.equal(draws(dataset, 2), alone)
    dataset.set_epoch(1)
    other = draws(dataset, 2)
    assert not torch.isclose(other, alone).any()
    assert torch.equal(draws(dataset), other)
    # as after a resume: another object, straight to the epoch
    resumed = build(tree, seed=7)
    resumed.set_epoch(1)
    assert torch.equal(draws(resumed), other)
    another = build(tree, seed=8)
    another.set_epoch(0)
    assert not torch.isclose(draws(another), alone).any()


def test_without_an_epoch_every_pass_is_augmented_anew(tree):
    # in a config of another library nobody sets one
    dataset = build(tree, seed=7)
    assert dataset.epoch == -1
    assert not torch.isclose(draws(dataset), draws(dataset)).any()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = [random.random(), np.random.rand()]
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    assert dataset[0]['drawn'][:2].tolist() == expected
    # a test is the same for all
    dataset = build(tree, test_mode=True)
    assert torch.equal(draws(dataset), draws(dataset, 2))


def test_persistent_workers_see_the_epoch(tree):
    dataset = build(tree, seed=7)
    loader = DataLoader(
        dataset, batch_size=6, num_workers=1, persistent_workers=True)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        drawn = next(iter(loader))['drawn']
        assert torch.equal(drawn, draws(dataset))


def test_global_generators_are_left_alone(tree):
    dataset = build(tree)
    dataset.set_epoch(0)
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1)
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    dataset[0], dataset[3]
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_seed_of_the_run(tree):
    torch.manual_seed(11)
    assert build(tree).seed == 11
    assert build(tree, test_mode=True).seed == 0
    dataset = build(tree)
    dataset.set_epoch(2, seed=12)
    assert (dataset.seed, dataset.epoch) == (12, 2)
    dataset = build(tree, seed=5)
    dataset.set_epoch(2, seed=12)
    assert (dataset.seed, dataset.epoch) == (5, 2)


def test_wrappers_pass_the_epoch_on(tree):
    inner = [build(tree, seed=1), build(tree, seed=1)]
    both = ConcatDataset(inner)
    set_dataset_epoch(both, 4)
    assert [d.epoch for d in inner] == [4, 4]
    twice = RepeatDataset(inner[0], times=2)
    set_dataset_epoch(twice, 5)
    assert [d.epoch for d in inner] == [5, 4]
    # a repeated draw is another one, through a wrapper too
    for wrapped, dataset in [(both, inner[1]), (twice, inner[0])]:
        first = wrapped[6]['drawn']
        again = wrapped[RepeatedIndex(6, draw=1)]['drawn']
        assert not torch.isclose(first, again).any()
        assert torch.equal(first, dataset[0]['drawn'])
    assert torch.equal(both[RepeatedIndex(6, draw=1)]['drawn'],
                       inner[1][RepeatedIndex(0, draw=1)]['drawn'])
    # and so are the copies of a RepeatDataset
    copies = [twice[RepeatedIndex(i)]['drawn'] for i in (0, 6)]
    assert not torch.isclose(*copies).any()
    # where the index is looked up the draw is lost: no epoch is set
    rare = ClassBalancedDataset(build(tree, seed=1), oversample_thr=0.9)
    set_dataset_epoch(rare, 5)
    assert rare.dataset.epoch == -1


def test_copies_have_an_epoch_of_their_own(tree):
    dataset = build(tree, seed=1)
    dataset.set_epoch(3)
    copies = [
        copy.deepcopy(dataset),
        pickle.loads(pickle.dumps(dataset)),
        dataset.get_subset([0, 1])
    ]
    dataset.set_epoch(4)
    for each in copies:
        assert (each.seed, each.epoch) == (1, 3)
        assert each._clock._values.is_shared()
        each.set_epoch(5)
    assert dataset.epoch == 4


def test_another_sample_is_drawn_for_none(tree):

    def pipeline(results):
        if results['sample_idx'] in (0, 1):
            return None
        return dict(drawn=torch.tensor([results['sample_idx']]))

    dataset = FERDataset('list.txt', data_root=str(tree), pipeline=[pipeline])
    dataset.set_epoch(0)
    state = np.random.get_state()[1].copy()
    found = draws(dataset)
    assert torch.equal(found, draws(dataset, 2))
    assert (found[:2] > 1).all() and found[2:, 0].tolist() == [2, 3, 4, 5]
    assert (np.random.get_state()[1] == state).all()
    dataset = FERDataset(
        'list.txt', data_root=str(tree), pipeline=[lambda r: None])
    with pytest.raises(RuntimeError, match='returned None'):
        dataset[0]


def test_negative_index_is_the_same_sample(tree):
    dataset = build(tree)
    dataset.set_epoch(0)
    assert torch.equal(dataset[-1]['drawn'], dataset[5]['drawn'])


def test_seeded_tells_its_entropy_apart():
    values = []
    for entropy in [(7, ), (7, 0), (0, 7), (7, 'a'), (7, 'b'), ('7', )]:
        with seeded(*entropy):
            values.append(torch.rand(1).item())
    assert len(set(values)) == len(values)
    with pytest.raises(ValueError, match='non-negative'):
        with seeded(-1):
            pass


def test_seeded_restores_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(KeyError):
        with seeded(1):
            torch.rand(1)
            raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_shared_epoch_holds_a_large_seed():
    clock = SharedEpoch(2**63 - 1)
    assert clock.seed == 2**63 - 1
    index = pickle.loads(pickle.dumps(RepeatedIndex(5, 2)))
    assert (index, index.draw) == (5, 2)
