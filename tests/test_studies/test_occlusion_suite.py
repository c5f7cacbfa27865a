# Copyright (c) orsa contributors. All rights reserved.
"""Protects the occlusion suite: images, metrics, resuming, its report."""
import argparse
import csv
import json
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, TRANSFORMS
from mmpretrain.datasets import BaseDataset
from sklearn.metrics import accuracy_score, f1_score, recall_score
from tiny_suite import CONFIG, NUM, make_faces, make_model

import orsa
from orsa.apis import build_model, load_config, testing
from orsa.datasets import OccludeFace
from orsa.evaluation.metrics import expected_calibration_error
from orsa.studies import occlusion_suite, study, suite_command
from orsa.studies.occlusion_conditions import Condition
from orsa.studies.occlusion_metrics import (area_under, drop,
                                            most_frequent_changes, summarise)
from orsa.utils.classes import RAFDB_CLASSES

KINDS, SEVERITIES = ('hand', 'square', 'mask'), (1, 3)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp('suite')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    make_model(root / 'tiny.py', root / 'a.pth')
    make_model(root / 'tiny.py', root / 'b.pth', seed=1)
    return root


def suite_of(made, name, **kwargs):
    kwargs = dict(
        dict(kinds=KINDS, severities=SEVERITIES, device='cpu'), **kwargs)
    return orsa.OcclusionSuite(
        str(made / 'tiny.py'),
        kwargs.pop('checkpoint', made / 'a.pth'),
        work_dir=str(made / name),
        **kwargs)


@pytest.fixture(scope='module')
def complete(made):
    """A suite that was run in one go, without workers."""
    suite = suite_of(made, 'complete')
    suite.run()
    return suite


def read(suite, name='occlusion_suite.json'):
    with open(f'{suite.work_dir}/{name}') as file:
        return json.load(file)


def faces_of(suite):
    with np.load(f'{suite.work_dir}/occlusion_suite_faces.npz') as found:
        return dict(found)


def content(suite, name):
    with open(f'{suite.work_dir}/{name}', 'rb') as file:
        return file.read()


def test_workers_and_order_change_nothing(made, complete):
    other = suite_of(
        made, 'workers', workers=2, kinds=KINDS[::-1], severities=(3, 1))
    other.compute(other.conditions()[::-1])  # in another order
    other.run()
    for name in ('occlusion_suite.json', 'occlusion_suite.csv',
                 'occlusion_suite.md', 'occlusion_suite.html',
                 'occlusion_suite_sheet.png'):
        assert content(complete, name) == content(other, name), name
    ours, theirs = faces_of(complete), faces_of(other)
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        assert np.array_equal(value, theirs[key]), key
    assert read(other, 'occlusion_suite_run.json')['workers'] == 2
    # pictures are told apart by their hash, which is in the report
    report = read(complete)
    hashes = [report['clean']['pictures_sha256']] + [
        cell['pictures_sha256'] for kind in report['cells'].values()
        for cell in kind.values()
    ]
    assert len(set(hashes)) == 1 + len(KINDS) * len(SEVERITIES)


@pytest.mark.parametrize('seed', [0, 1])
def test_pictures_are_those_of_occlude_face(made, complete, seed):
    suite = suite_of(made, f'seed{seed}', seed=seed) if seed else complete
    image, share = suite.faces.sample(Condition('mask', 3), 4)
    points = json.loads((made / 'landmarks68.json').read_text())['test_0004']
    path = made / 'basic' / 'Image' / 'aligned' / 'test_0004_aligned.jpg'
    expected = OccludeFace(3, 'mask', seed)(
        dict(img=cv2.imread(str(path)), name='test_0004', gt_keypoints=points))
    assert np.array_equal(image, expected['img'])
    assert share == expected['occlusion_ratio']
    if seed:
        return
    faces = faces_of(complete)
    row = faces['cells'].tolist().index('mask 3')
    assert faces['ratio'][row, 4] == share
    cell = read(complete)['cells']['mask']['3']
    assert cell['share'] == .49
    assert cell['measured_share'] == pytest.approx(faces['ratio'][row].mean())
    assert abs(cell['measured_share'] - .49) < .02


def test_resumes_where_it_was_stopped(made, complete, monkeypatch):
    suite = suite_of(made, 'stopped', workers=1)
    store, stored = suite._store, []

    def stop_at_the_third(condition, found):
        if len(stored) == 3:
            raise KeyboardInterrupt
        store(condition, found)
        stored.append(condition)

    monkeypatch.setattr(suite, '_store', stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        suite.run()
    again = suite_of(made, 'stopped')
    assert [c for c in again.conditions() if again.stored(c)] == stored
    again.run()
    assert read(again, 'occlusion_suite_run.json')['cells_computed'] == 4
    assert content(again,
                   'occlusion_suite.json') == content(complete,
                                                      'occlusion_suite.json')
    # nothing is left to do: the model is not even loaded
    monkeypatch.setattr(occlusion_suite, 'init_model', None)
    suite_of(made, 'stopped').run()


def test_what_is_stale_is_computed_again(made, monkeypatch):
    kwargs = dict(kinds=['square'], severities=[1])
    first = suite_of(made, 'stale', **kwargs)
    first.compute(first.conditions())
    lines = []
    monkeypatch.setattr(study, 'log', lines.append)

    def computed(suite):
        lines.clear()
        todo = suite.missing(suite.conditions())
        suite.compute(todo)
        return len(todo), '\n'.join(lines)

    count, logged = computed(suite_of(made, 'stale', seed=1, **kwargs))
    assert count == 1
    assert 'square 1: ' in logged and 'another occluder;' in logged
    count, logged = computed(
        suite_of(made, 'stale', seed=1, checkpoint=made / 'b.pth', **kwargs))
    assert count == 2 and 'another checkpoint;' in logged
    path = first.result_file(Condition())
    with open(path, 'r+b') as file:
        file.truncate(200)
    count, logged = computed(
        suite_of(made, 'stale', seed=1, checkpoint=made / 'b.pth', **kwargs))
    assert count == 1 and f"'{path}' is damaged" in logged


def test_batch_size_changes_scores_by_rounding_alone(made, complete):
    other = suite_of(made, 'batch', batch_size=1, kinds=['hand'])
    other.compute(other.conditions())
    report, theirs = other.collect()
    ours = faces_of(complete)
    at = [ours['cells'].tolist().index(c) for c in theirs['cells']]
    assert abs(ours['scores'][at] - theirs['scores']).max() < 1e-5
    assert np.array_equal(ours['ratio'][at], theirs['ratio'])
    key = 'pictures_sha256'
    assert report['cells']['hand']['3'][key] == read(
        complete)['cells']['hand']['3'][key]


def test_metrics_are_those_of_sklearn(complete):
    report, faces = read(complete), faces_of(complete)
    labels, classes = faces['labels'], report['classes']
    clean = faces['scores'][0].argmax(1)
    assert len(set(clean)) > 2  # a model that predicts several classes
    for name, scores in zip(faces['cells'], faces['scores']):
        kind, _, severity = name.partition(' ')
        cell = report['cells'][kind][severity] if severity else report['clean']
        pred = scores.argmax(1)
        assert cell['accuracy'] == pytest.approx(100 *
                                                 accuracy_score(labels, pred))
        assert cell['uar'] == pytest.approx(
            100 * recall_score(labels, pred, average='macro'))
        assert cell['macro_f1'] == pytest.approx(
            100 *
            f1_score(labels, pred, average='macro', labels=np.unique(labels)))
        assert cell['ece'] == expected_calibration_error(scores, labels)
        assert cell['confidence'] == pytest.approx(100 * scores.max(1).mean())
        assert cell['agreement'] == pytest.approx(100 * (pred == clean).mean())
        turned = np.array(cell['turned'])
        assert turned.sum() == NUM
        assert turned.trace() == (pred == clean).sum()
        assert turned[clean[0], pred[0]] > 0
    assert np.array(report['clean']['turned']).trace() == NUM
    total = sum(
        np.array(report['cells']['mask'][str(s)]['turned'])
        for s in SEVERITIES)
    assert report['turns']['worn']['matrix'] == total.tolist()
    first = report['turns']['mask']['frequent'][0]
    row, column = classes.index(first['before']), classes.index(first['after'])
    assert row != column and total[row, column] == first['count']


def test_means_drops_and_areas_by_hand(complete):
    report = read(complete)
    cells, clean = report['cells'], report['clean']['uar']
    common = report['means']['common']
    assert common['kinds'] == ['hand', 'square']
    assert report['means']['worn']['kinds'] == ['mask']
    means = [(cells['hand'][s]['uar'] + cells['square'][s]['uar']) / 2
             for s in ('1', '3')]
    assert [common['severities'][s]['uar']
            for s in ('1', '3')] == pytest.approx(means)
    assert common['overall']['uar'] == pytest.approx(sum(means) / 2)
    lost = common['severities']['3']['drop']['uar']
    assert lost['absolute'] == pytest.approx(clean - means[1])
    assert lost['relative'] == pytest.approx(100 * (1 - means[1] / clean))
    # from 0 to 1, and twice as wide from 1 to 3
    area = ((clean + means[0]) / 2 + means[0] + means[1]) / 3
    assert common['area']['uar'] == pytest.approx(area)
    assert report['areas']['mask']['uar'] == pytest.approx(
        ((clean + cells['mask']['1']['uar']) / 2 +
         (cells['mask']['1']['uar'] + cells['mask']['3']['uar'])) / 3)


def test_no_severity_is_clean_faces_alone():
    clean = dict(scores=np.eye(2), ratio=np.zeros(2), pictures=None)
    report = summarise({('clean', 0): clean}, ['hand', 'mask'], [],
                       np.array([0, 1]), ['a', 'b'])
    assert report['clean']['accuracy'] == 100 and report['cells'] == {}


def test_small_functions_by_hand():
    assert area_under([0, 1, 3], [80, 60, 40]) == pytest.approx(170 / 3)
    assert area_under([0, 1, 2, 3, 4, 5], [70.] * 6) == 70
    clean = dict(accuracy=80., uar=50., macro_f1=0.)
    occluded = dict(accuracy=60., uar=55., macro_f1=0.)
    assert drop(clean, occluded) == dict(
        accuracy=dict(absolute=20., relative=25.),
        uar=dict(absolute=-5., relative=-10.),
        macro_f1=dict(absolute=0., relative=None))
    matrix = np.array([[1, 2], [1, 0]])
    assert most_frequent_changes(matrix, ['a', 'b'])[0] == dict(
        before='a', after='b', count=2, share=pytest.approx(200 / 3))


def test_list_is_the_clean_faces_of_it(complete):
    found = read(complete)['lists']['occlusion_test']
    faces = faces_of(complete)
    inside = [2, 3, 5, 8, 9]
    assert np.flatnonzero(faces['list/occlusion_test']).tolist() == inside
    assert found['num_listed'] == found['num_samples'] == 5
    right = faces['scores'][0].argmax(1) == faces['labels']
    assert found['accuracy'] == pytest.approx(100 * right[inside].mean())
    assert found['rest']['num_samples'] == NUM - 5
    # 3 and 9; none; 2, 5 and 8
    assert {
        k: v['num_samples']
        for k, v in found['types'].items()
    } == {
        '1': 2,
        '3': 3
    }
    assert found['types']['1']['accuracy'] == pytest.approx(
        100 * right[[3, 9]].mean())


def test_real_list(faces_dir, tmp_path, made):
    """The faces that something real is in front of, counted right."""
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.replace('{root}', str(faces_dir)))
    report = orsa.OcclusionSuite(
        str(config),
        made / 'a.pth',
        kinds=[],
        work_dir=str(tmp_path / 'work'),
        batch_size=64,
        device='cpu').run()
    found = report['lists']['occlusion_test']
    assert report['dataset']['num_faces'] == 422
    assert (found['num_listed'], found['num_samples']) == (125, 125)
    assert {
        k: v['num_samples']
        for k, v in found['types'].items()
    } == {
        '1': 76,
        '2': 5,
        '3': 13,
        '4': 28,
        '5': 3
    }
    assert found['rest']['num_samples'] == 297
    assert sum(c['num_samples'] for c in found['per_class'].values()) == 125
    assert report['cells'] == {} and report['means'] == {}


ORSANET = dict(
    type='orsa.ORSANet',
    image_encoder=dict(
        type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16))),
    image_size=32,
    embed_dims=16,
    grid=4)


@pytest.mark.parametrize(
    'parts', [
        dict(
            backbone=dict(type='ResNet', depth=18),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=7, in_channels=512)),
        dict(
            backbone=ORSANET,
            neck=dict(
                type='orsa.ConcatFusion', in_channels=[16], out_channels=16),
            head=dict(type='orsa.DAREHead', num_classes=7, in_channels=16)),
    ],
    ids=['resnet18', 'orsanet'])
def test_other_models_and_synthetic_faces(made, tmp_path, parts):
    cfg = load_config(str(made / 'tiny.py'))
    for name, part in parts.items():
        cfg.model[name] = part
    dataset = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(
        type='orsa.SyntheticFaces',
        num_samples=6,
        split='test',
        size=48,
        pipeline=[
            dict(type='orsa.DrawSyntheticFace'),
            *dataset.pipeline[1:],
        ])
    torch.save(build_model(cfg).state_dict(), tmp_path / 'model.pth')
    with pytest.warns(UserWarning, match='no class names'):
        report = orsa.OcclusionSuite(
            cfg,
            tmp_path / 'model.pth',
            kinds=['scarf'],
            severities=[5],
            work_dir=str(tmp_path),
            device='cpu').run()
    cell = report['cells']['scarf']['5']
    assert abs(cell['measured_share'] - .6) < .02
    assert report['dataset']['type'] == 'SyntheticFaces'
    assert report['lists'] == {}


def test_command_and_clean_metrics(made, complete, tmp_path):
    """The clean condition is what the plain test reports."""

    def run(*argv):
        parser = argparse.ArgumentParser()
        testing.add_test_arguments(parser)
        suite_command.add_suite_arguments(parser)
        do = suite_command.run_suite if argv else testing.test
        return do(
            parser.parse_args([
                str(made / 'tiny.py'),
                str(made / 'a.pth'), '--work-dir',
                str(tmp_path), *argv
            ]))

    report = run('--occlusion-suite', '--kinds', 'hand', '--severities', '3',
                 '--workers', '0', '--lists')
    assert list(report['cells']) == ['hand'] and report['lists'] == {}
    run()
    plain = json.loads((tmp_path / 'metrics.json').read_text())
    for figure in ('accuracy', 'uar', 'macro_f1', 'confusion_matrix'):
        assert report['clean'][figure] == plain[figure]
    assert report['clean']['ece'] == pytest.approx(plain['ece'], abs=1e-4)
    assert report['cells']['hand']['3'] == read(complete)['cells']['hand']['3']
    with pytest.raises(ValueError, match="does not go with.*'--out'"):
        run('--occlusion-suite', '--out', 'x.pkl')


class _Page(HTMLParser):
    """Collects what a page refers to, and whether its tags match."""

    def __init__(self):
        super().__init__()
        self.open, self.refers, self.rows = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.refers += [v for k, v in attrs if k in ('src', 'href')]
        self.rows += tag == 'tr'
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_summary_by_hand(complete):
    report = read(complete)
    page = content(complete, 'occlusion_suite.md').decode()
    lines = page.split('## Summary')[1].split('##')[0].splitlines()
    row, = (line for line in lines if line.startswith('| mean, common scale '))
    clean, mean = report['clean'], report['means']['common']['overall']
    values = [
        mean['accuracy'], mean['uar'], mean['macro_f1'],
        clean['uar'] - mean['uar'], 100 * (1 - mean['uar'] / clean['uar']),
        mean['ece'], mean['agreement'], 100 * mean['measured_share']
    ]
    assert [cell.strip() for cell in row.split('|')[2:-1]
            ] == [f'{value:.1f}' for value in values]


def test_a_class_that_the_model_lacks(made, complete, tmp_path):
    saved = torch.load(made / 'a.pth')
    order = [3, 1, 0, 5, 2, 6]  # without sadness
    for key in ('head.fc.weight', 'head.fc.bias'):
        saved['state_dict'][key] = saved['state_dict'][key][order]
    names = [RAFDB_CLASSES[i] for i in order]
    saved['meta'] = dict(dataset_meta=dict(classes=names))
    torch.save(saved, tmp_path / 'six.pth')
    cfg = load_config(str(made / 'tiny.py'))
    cfg.model.head.num_classes = 6
    suite = orsa.OcclusionSuite(
        cfg,
        tmp_path / 'six.pth',
        kinds=['hand'],
        severities=[3],
        work_dir=str(tmp_path),
        device='cpu')
    suite.compute(suite.conditions())
    report, faces = suite.collect()
    assert report['left_out'] == dict(model=[], data={RAFDB_CLASSES[4]: 3})
    kept = [i for i in range(21) if i % 7 != 4]
    assert faces['names'].tolist() == [f'test_{i:04d}' for i in kept]
    whole = faces_of(complete)
    hand = whole['cells'].tolist().index('hand 3')
    assert np.array_equal(faces['ratio'][1], whole['ratio'][hand][kept])
    right = faces['scores'][0].argmax(1) == faces['labels']
    listed = [kept.index(i) for i in (2, 3, 5, 8, 9)]
    assert report['lists']['occlusion_test']['accuracy'] == pytest.approx(
        100 * right[listed].mean())


def test_page_needs_nothing_else(complete):
    text = content(complete, 'occlusion_suite.html').decode()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert len(page.refers) == 3  # curves, heatmap, sheet
    assert all(r.startswith('data:image/png;base64,') for r in page.refers)
    assert 'http' not in text and '<script' not in text
    assert 'width=device-width' in text
    for figure in ('curves', 'heatmap', 'sheet'):
        assert cv2.imread(
            f'{complete.work_dir}/occlusion_suite_{figure}.png') is not None
    with open(f'{complete.work_dir}/occlusion_suite.csv') as file:
        rows = list(csv.DictReader(file))
    report = read(complete)
    row = next(
        r for r in rows if (r['kind'], r['severity']) == ('square', '3'))
    assert float(row['uar']) == report['cells']['square']['3']['uar']
    assert float(row['uar_lost']) == pytest.approx(report['clean']['uar'] -
                                                   float(row['uar']))


def test_unknown_arguments_are_refused(made):
    with pytest.raises(ValueError, match=r"unknown kinds \['nose'\]"):
        suite_of(made, 'no', kinds=['nose'])
    with pytest.raises(ValueError, match=r'unknown severities \[6\]'):
        suite_of(made, 'no', severities=[6])
    with pytest.raises(ValueError, match='needs a checkpoint'):
        orsa.OcclusionSuite(str(made / 'tiny.py'))
    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset.pipeline.pop()
    with pytest.raises(ValueError, match='PackInputs'):
        orsa.OcclusionSuite(cfg, made / 'a.pth', work_dir=str(made / 'no'))
    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset.pipeline.insert(
        -1, dict(type='orsa.LoadCachedPriors', cache='x'))
    with pytest.raises(ValueError, match='LoadCachedPriors'):
        orsa.OcclusionSuite(cfg, made / 'a.pth', work_dir=str(made / 'no'))


@pytest.mark.parametrize('width,named,message',
                         [(40, True, 'square.*(32, 40)'),
                          (32, False, 'have none')])
def test_faces_that_cannot_be_occluded(made, width, named, message):

    @TRANSFORMS.register_module(force=True)
    class LoadNothing:

        def __call__(self, results):
            return dict(results, img=np.zeros((32, width, 3), np.uint8))

    @DATASETS.register_module(force=True)
    class Nameless(BaseDataset):
        METAINFO = dict(classes=['happiness', 'anger'])

        def load_data_list(self):
            name = dict(name='somebody') if named else {}
            return [dict(gt_label=0, **name)] * 2

    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset = dict(
        type='Nameless',
        ann_file='',
        test_mode=True,
        pipeline=[dict(type='LoadNothing'),
                  dict(type='PackInputs')])
    with pytest.raises(ValueError, match=message):
        orsa.OcclusionSuite(cfg, made / 'a.pth', work_dir=str(made / 'no'))


def test_other_classes_are_matched_by_name(made, complete, tmp_path):
    """A model in another order, that lacks a class of the data."""
    content = torch.load(made / 'a.pth')
    names = list(orsa.utils.classes.RAFDB_CLASSES)
    order = [3, 1, 0, 5, 2, 6, 4]
    state = content['state_dict']
    for key in ('head.fc.weight', 'head.fc.bias'):
        state[key] = state[key][order]
    content['meta'] = dict(
        dataset_meta=dict(classes=tuple(names[i] for i in order)))
    torch.save(content, tmp_path / 'order.pth')
    suite = suite_of(
        made,
        'order',
        checkpoint=tmp_path / 'order.pth',
        kinds=['hand'],
        severities=[3])
    suite.compute(suite.conditions())
    report, _ = suite.collect()
    expected = read(complete)
    for figure in ('accuracy', 'uar', 'macro_f1', 'confusion_matrix'):
        assert report['clean'][figure] == expected['clean'][figure]
        assert report['cells']['hand']['3'][figure] == expected['cells'][
            'hand']['3'][figure]
    assert report['model_classes'] == [names[i] for i in order]


def test_lists_of_one_name_are_refused(made):
    with pytest.raises(ValueError, match='a name of its own'):
        suite_of(made, 'lists', lists=['a/list.txt', 'b/list.txt'])


def test_landmarks_that_come_later_are_other_occluders(faces_dir, made):
    """They place them: what was stored before is out of date."""
    suite = suite_of(made, 'landmarks')
    keys = []
    for root in (made, faces_dir):
        suite.faces.data_cfg = dict(
            type='orsa.RAFDB', data_root=str(root), split='test')
        suite._common = None  # as of another run
        keys.append([
            suite.key(c)['occluder']
            for c in (Condition(), Condition('hand', 1))
        ])
    assert keys[0][0] == keys[1][0] and keys[0][1] != keys[1][1]
