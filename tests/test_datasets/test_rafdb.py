# Copyright (c) orsa contributors. All rights reserved.
"""RAF-DB: names, labels, splits and folds of its trees, subjects apart."""
import csv
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import (DATA_SAMPLERS, DATASETS, METRICS,
                               init_default_scope)

from orsa.datasets import RAFDB
from orsa.datasets.splits import assign_folds, hold_out

LIST = 'basic/EmoLabel/list_patition_label.txt'
ALIGNED = 'basic/Image/aligned'


def make_tree(root, lines, newline='\n'):
    (root / LIST).parent.mkdir(parents=True)
    (root / ALIGNED).mkdir(parents=True)
    (root / LIST).write_bytes((newline.join(lines) + newline).encode())
    image = np.full((10, 10, 3), 200, np.uint8)
    for line in lines:
        if line.strip():
            name = line.split('.')[0]
            cv2.imwrite(str(root / ALIGNED / f'{name}_aligned.jpg'), image)
    return root


@pytest.fixture
def tree(tmp_path):
    lines = ['train_00001.jpg 5', 'train_00002.jpg 1', '', 'test_0001.jpg 7',
             'train_00003.jpg 4 ', 'test_0002.jpg 2']  # yapf: disable
    return make_tree(tmp_path, lines, newline='\r\n')


def edit(tree, old, new):
    path = tree / LIST
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))


def names(dataset):
    return [dataset.get_data_info(i)['name'] for i in range(len(dataset))]


def test_reads_the_tree_of_the_release(tree):
    train = RAFDB(str(tree) + '/')
    assert names(train) == ['train_00001', 'train_00002', 'train_00003']
    assert [train.CLASSES[i] for i in train.get_gt_labels()
            ] == ['sadness', 'surprise', 'happiness']
    test = RAFDB(str(tree), split='test')
    assert test.get_gt_labels().tolist() == [6, 1]
    assert test.get_data_info(0)['img_path'].endswith('test_0001_aligned.jpg')
    assert test.test_mode and not train.test_mode


@pytest.mark.parametrize('old, new, message', [
    ('00002.jpg 1', '00002.jpg 0', r':2: the label of train_00002 .* 1-7'),
    ('00002.jpg 1', '00002.jpg 8', r':2: the label .* got .8.'),
    ('00002.jpg 1', '00002.jpg 12', r':2: the label .* got .12.'),
    ('00002.jpg 1', '00002.jpg happy', r':2: the label .* got .happy.'),
    ('00002.jpg 1', '00002.jpg', r":2: expected .*got 'train_00002.jpg'"),
    ('0001.jpg 7', '0001.jpg 7 7', r':4: expected a line such as'),
    ('test_0001', 'valid_0001', r':4: expected a line such as'),
    ('train_00003', 'train_00001', r':5: train_00001 is listed twice, .* 1'),
])
def test_errors_name_file_and_line(tree, old, new, message):
    edit(tree, old, new)
    with pytest.raises(ValueError, match=f'{LIST}{message}'):
        RAFDB(str(tree))


def test_missing_tree(tmp_path, tree):
    with pytest.raises(
            FileNotFoundError, match='nowhere(.|\n)*press_faces.py'):
        RAFDB(str(tmp_path / 'nowhere'))
    shutil.rmtree(tree / ALIGNED)
    with pytest.raises(FileNotFoundError, match='folder of aligned images'):
        RAFDB(str(tree))
    # but nothing is read before it is needed
    assert RAFDB(str(tmp_path / 'nowhere'), lazy_init=True).CLASSES


def test_missing_image(tree):
    (tree / ALIGNED / 'train_00002_aligned.jpg').unlink()
    with pytest.raises(
            FileNotFoundError,
            match=r":2: '.*train_00002_aligned.jpg' is listed but not there, "
            'one of 1 of the 3'):
        RAFDB(str(tree))
    # a split that lacks nothing can be used
    assert len(RAFDB(str(tree), split='test')) == 2
    dataset = RAFDB(str(tree), skip_unreadable=True)
    assert dataset.skipped == ['train_00002'] and len(dataset) == 2


@pytest.mark.parametrize(
    'kwargs, message', [(dict(split='valid'), 'split must be'),
                        (dict(split='val'), 'val_split > 0'),
                        (dict(val_split=1.), r'in \[0, 1\)'),
                        (dict(num_folds=1), '2 or more.*got 1'),
                        (dict(num_folds=-2), '2 or more.*got -2'),
                        (dict(num_folds=2, val_split=.1), 'give one'),
                        (dict(fold=0), 'fold=0, num_folds=0'),
                        (dict(num_folds=2, fold=2), 'fold=2, num_folds=2'),
                        (dict(num_folds=2, fold=-1), 'fold=-1'),
                        (dict(num_folds=2, split='val'), 'num_folds and fold'),
                        (dict(num_folds=9), 'at most 3.*groups, got 9')])
def test_bad_arguments(tree, kwargs, message):
    with pytest.raises(ValueError, match=message):
        RAFDB(str(tree), **kwargs)


def test_lists_of_ran_select_test_samples(tree, tmp_path):
    path = tmp_path / 'occlusion.txt'
    path.write_text('test_0002_aligned 1 4\ntest_0002_aligned 1 4\n')
    assert names(RAFDB(str(tree), split='test',
                       subset_file=str(path))) == ['test_0002']
    path.write_text('6/test_0001_aligned.jpg\n')
    assert names(RAFDB(str(tree), split='test',
                       subset_file=str(path))) == ['test_0001']
    path.write_text('test_0002\ntrain_00001\n')
    with pytest.raises(ValueError, match=":2: 'train_00001' is not among"):
        RAFDB(str(tree), split='test', subset_file=str(path))


def test_held_out_part_is_stratified_and_independent_of_order(tmp_path):
    labels = [1] * 40 + [4] * 100 + [2] * 7
    lines = [f'train_{i:05d}.jpg {c}' for i, c in enumerate(labels, 1)]
    make_tree(tmp_path, lines)
    root = str(tmp_path)
    held = RAFDB(root, split='val', val_split=0.1)
    rest = RAFDB(root, split='train', val_split=0.1)
    assert Counter(held.get_gt_labels().tolist()) == {0: 4, 3: 10, 1: 1}
    assert sorted(names(held) + names(rest)) == sorted(names(RAFDB(root)))
    assert held.test_mode
    assert set(names(held)) != set(
        names(RAFDB(root, split='val', val_split=0.1, val_seed=1)))
    (tmp_path / LIST).write_text('\n'.join(reversed(lines)))
    again = RAFDB(root, split='val', val_split=0.1)
    assert set(names(again)) == set(names(held))


def test_persons_are_not_in_both_parts(faces_dir):
    with open(faces_dir / 'sources.csv', newline='') as f:
        identity = {row['name']: row['identity'] for row in csv.DictReader(f)}
    root = str(faces_dir)
    held = RAFDB(root, split='val', val_split=0.2)
    rest = RAFDB(root, split='train', val_split=0.2)
    persons = [{identity[n] for n in names(d)} for d in (held, rest)]
    assert not persons[0] & persons[1]
    assert len(held) + len(rest) == 1277
    counts, total = (
        np.bincount(d.get_gt_labels(), minlength=7)
        for d in (held, RAFDB(root)))
    assert (abs(counts - 0.2 * total) <= 1).all(), counts
    blind = RAFDB(root, split='val', val_split=0.2, val_group_file=None)
    assert {identity[n]
            for n in names(blind)} & {
                identity[n]
                for n in set(identity) - set(names(blind))
                if n.startswith('train')
            }


def folds(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {info['name']: info['fold'] for info in infos}


def test_folds_are_stratified_and_keep_persons_together(faces_dir):
    with open(faces_dir / 'sources.csv', newline='') as f:
        identity = {row['name']: row['identity'] for row in csv.DictReader(f)}
    root = str(faces_dir)
    whole = RAFDB(root, num_folds=4)
    where = folds(whole)
    assert len(where) == 1277 and set(where.values()) == {0, 1, 2, 3}
    assert len({(identity[n], k)
                for n, k in where.items()
                }) == len({identity[n]
                           for n in where})
    labels, at = whole.get_gt_labels(), np.array(list(where.values()))
    counts = np.stack([np.bincount(labels[at == k]) for k in range(4)])
    # the two classes of 7 are spread as evenly as the large ones
    assert (np.ptp(counts, axis=0) <= 1).all(), counts
    for k in (0, 3):
        val = RAFDB(root, num_folds=4, fold=k, split='val')
        train = RAFDB(root, num_folds=4, fold=k)
        assert val.test_mode and not train.test_mode
        assert set(folds(val)) == {n for n in where if where[n] == k}
        assert set(folds(val).values()) == {-1}
        assert folds(train) == {n: f for n, f in where.items() if f != k}
    test = RAFDB(root, num_folds=4, split='test')
    assert set(folds(test).values()) == {-1} and len(test) == 422
    assert 'fold' not in RAFDB(root).get_data_info(0)
    # numbering other classes or selecting samples moves nobody
    some = folds(RAFDB(root, num_folds=4, classes=['fear', 'disgust']))
    assert len(some) == 14 and some.items() <= where.items()
    assert folds(RAFDB(root, num_folds=4, val_seed=1)) != where


def test_folds_do_not_depend_on_the_order():
    samples = [f's{i}' for i in range(90)]
    labels = ['a'] * 60 + ['b'] * 23 + ['c'] * 7
    groups = [f'g{i % 40}' for i in range(90)]
    first = assign_folds(samples, labels, 3, 5, groups)
    order = np.random.RandomState(0).permutation(90)
    again = assign_folds(
        *([column[i] for i in order] for column in (samples, labels)), 3, 5,
        [groups[i] for i in order])
    assert again == first
    counts = Counter(zip(labels, (first[s] for s in samples)))
    assert {n for (c, _), n in counts.items() if c == 'a'} <= {19, 20, 21}
    assert max(n for (c, _), n in counts.items() if c == 'c') == 3
    # a run of today has to find the folds of a prior trained before
    assert ''.join(str(first[s]) for s in samples[:12]) == '102110200211'
    with pytest.raises(ValueError, match='at most 40'):
        assign_folds(samples, labels, 41, 0, groups)


def test_a_fold_reaches_the_data_sample(faces_dir):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='PackInputs', meta_keys=('name', 'fold'))
    ]
    train = RAFDB(str(faces_dir), num_folds=3, pipeline=pipeline)
    sample = train[5]['data_samples']
    assert sample.get('fold') == folds(train)[sample.name]


def test_group_file_errors(tree):

    def build(text):
        (tree / 'groups.csv').write_text(text)
        return RAFDB(
            str(tree), val_split=0.5, val_group_file=str(tree / 'groups.csv'))

    with pytest.raises(ValueError, match=r'groups.csv:1: .*identity'):
        build('name,person\ntrain_00001,A\n')
    with pytest.raises(ValueError, match='no identity for 2 .*train_00002'):
        build('name,identity\ntrain_00001,A\n')


def test_hold_out_never_exceeds_a_share():
    samples = [f's{i}' for i in range(60)]
    labels = ['a'] * 30 + ['b'] * 30
    groups = ['big'] * 10 + [f'g{i // 2}' for i in range(50)]
    for seed in range(5):
        held = hold_out(samples, labels, 0.2, seed, groups)
        counts = Counter(labels[samples.index(name)] for name in held)
        assert counts == dict(a=6, b=6)
        assert not held & set(samples[:10])


def test_real_faces(faces_dir):
    train = RAFDB(str(faces_dir))
    assert np.bincount(
        train.get_gt_labels()).tolist() == [213, 7, 7, 420, 74, 136, 420]
    assert 'gt_keypoints' not in train.get_data_info(0)
    test = RAFDB(str(faces_dir), split='test', with_annotations=True)
    assert len(test) == 422
    info = test.get_data_info(5)
    assert info['gt_keypoints'].shape == (1, 68, 2)
    assert info['gt_keypoints'].dtype == np.float32
    mask = cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED)
    # the tip of the nose lies on the nose
    x, y = info['gt_keypoints'][0, 30].round().astype(int)
    assert mask[y, x] == 6
    occluded = RAFDB(
        str(faces_dir), split='test', subset_file='occlusion_test.txt')
    assert len(occluded) == 125


def test_annotations_that_are_not_there(tree):
    with pytest.raises(FileNotFoundError, match='landmarks68.json'):
        RAFDB(str(tree), with_annotations=True)
    (tree / 'landmarks68.json').write_text('{"train_00001": [[1, 2]]}')
    with pytest.raises(ValueError, match=r'shape \(1, 2\)'):
        RAFDB(str(tree), with_annotations=True)
    (tree / 'landmarks68.json').write_text('{}')
    with pytest.raises(ValueError, match="no points for 'train_00001'"):
        RAFDB(str(tree), with_annotations=True)


@pytest.mark.parametrize('name, size, batch, slash',
                         [('rafdb_224', 224, 20, ''),
                          ('rafdb_64', 64, 32, '/'),
                          ('rafdb_112', 112, 32, '/')])
def test_configs(repo_root, faces_dir, monkeypatch, name, size, batch, slash):
    monkeypatch.setenv('ORSA_RAFDB', str(faces_dir) + slash)
    cfg = Config.fromfile(repo_root / f'configs/_base_/datasets/{name}.py')
    init_default_scope('mmpretrain')
    for loader, num in [(cfg.train_dataloader, 1277),
                        (cfg.val_dataloader, 422), (cfg.test_dataloader, 422)]:
        assert loader.batch_size == batch
        dataset = DATASETS.build(loader.dataset)
        assert len(dataset) == num
        sample = dataset[3]
        assert sample['inputs'].shape == (3, size, size)
        label = sample['data_samples'].gt_label.item()
        assert label == dataset.get_data_info(3)['gt_label']
    assert sample['data_samples'].name == dataset.get_data_info(3)['name']
    train = DATASETS.build(cfg.train_dataloader.dataset)
    sampler = DATA_SAMPLERS.build(
        cfg.train_dataloader.sampler, default_args=dict(dataset=train, seed=0))
    assert len(list(sampler)) == 1277
    METRICS.build(cfg.val_evaluator)
    # epochs are augmented differently, evaluation is not augmented
    train.set_epoch(0)
    first = train[0]['inputs']
    differ = []
    for epoch in range(1, 4):
        train.set_epoch(epoch)
        differ.append((train[0]['inputs'] != first).any().item())
    assert any(differ)
    before = dataset[0]['inputs']
    dataset.set_epoch(1)
    assert (dataset[0]['inputs'] == before).all()


def test_config_default_root(repo_root, monkeypatch):
    monkeypatch.delenv('ORSA_RAFDB', raising=False)
    cfg = Config.fromfile(repo_root / 'configs/_base_/datasets/rafdb_224.py')
    assert cfg.train_dataloader.dataset.data_root == 'data/raf-db/'
