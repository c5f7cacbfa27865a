# Copyright (c) orsa contributors. All rights reserved.
"""Faces are in their subgroups, with the right accuracy."""
import json

import cv2
import numpy as np
import pytest
from scipy.stats import binomtest

from orsa.analysis.subgroups import (add_subgroup_arguments, attributes,
                                     divide, is_grey, light_of, run_subgroups,
                                     subgroups, turn_of)
from orsa.datasets import RAFDB
from orsa.datasets.drawing.landmarks import BASE
from orsa.evaluation.predictions import Predictions


@pytest.fixture
def root(tmp_path):
    """Six faces: two in colour, two dark, one turned, one behind glasses."""
    faces, lines, points, sources = tmp_path / 'basic/Image/aligned', [], {}, [
        'name,source_image,identity,expression'
    ]
    faces.mkdir(parents=True)
    for i in range(6):
        name = f'test_{i:04}'
        image = np.full((128, 128, 3), 60 + 20 * i, np.uint8)
        image[..., 2] += 40 * (i < 2)
        cv2.imwrite(str(faces / f'{name}_aligned.jpg'), image)
        lines.append(f'{name}.jpg {1 + i % 2}')
        turned = np.array(BASE, float)
        turned[30, 0] += 30 * (i == 5)
        points[name] = turned.tolist()
        sources.append(f'{name},A_B_{i:04}.jpg,A_B,surprise'
                       if i else f'{name},x.jpg,x.jpg,surprise')
    (tmp_path / 'basic/EmoLabel').mkdir()
    (tmp_path / RAFDB._ANN_FILE).write_text('\n'.join(lines))
    (tmp_path / 'landmarks68.json').write_text(json.dumps(points))
    (tmp_path / 'sources.csv').write_text('\n'.join(sources))
    (tmp_path / 'occlusion_test.txt').write_text('test_0003_aligned 1 1\n')
    return tmp_path


def _groups(root, types=()):
    cfg = dict(
        type='orsa.RAFDB',
        data_root=str(root),
        split='test',
        with_annotations=True)
    dataset = RAFDB(**{k: v for k, v in cfg.items() if k != 'type'})
    return attributes(dataset, cfg, types)


def test_what_is_known_of_faces(root):
    found = _groups(root, ['glasses'])
    in_order = {k: list(v.values()) for k, v in found.items()}
    assert in_order['colour'] == ['colour'] * 2 + ['grey'] * 4
    assert in_order['occluder'] == ['nothing listed'] * 3 + [
        'glasses'
    ] + ['nothing listed'] * 2
    assert in_order['source'] == ['other'] + ['press photograph'] * 5
    assert in_order['images of the person'] == ['1'] + ['5 or more'] * 5
    # greys of 72, 92, 100, 120, 140 and 160
    assert in_order['brightness of the face'] == [
        f'{which} third' for which in ('darkest', 'middle', 'lightest')
        for _ in range(2)
    ]
    assert [t.split(',')[0] for t in in_order['yaw (by landmarks)']
            ] == ['small'] * 5 + ['large']


def test_rotation_is_the_same_mirrored_and_at_any_size():
    points = np.array(BASE, float)
    points[30, 0] += 11
    assert turn_of(points * 3 + 7) == pytest.approx(turn_of(points))
    flipped = points.copy()
    flipped[:, 0] = 127 - flipped[:, 0]
    flipped[[0, 16]] = flipped[[16, 0]]
    assert turn_of(flipped) == pytest.approx(turn_of(points))
    # the nose at the end of the jaw
    points[30, 0] = points[16, 0]
    assert turn_of(points) == pytest.approx(1)


def test_jpeg_noise_is_no_colour():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    jpeg = cv2.imencode('.jpg', cv2.merge([noise] * 3))[1]
    assert is_grey(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    assert not is_grey(cv2.applyColorMap(noise, cv2.COLORMAP_JET))


def test_light_is_that_of_the_face_alone():
    image = np.full((128, 128, 3), 200, np.uint8)
    hull = cv2.convexHull(np.rint(BASE).astype(int))
    cv2.fillConvexPoly(image, hull, (50, 50, 50))
    assert light_of(image, np.array(BASE)) == 50
    assert 50 < light_of(image, None) < 200


def test_accuracy_of_groups():
    # happiness is right 3 times of 4, anger once of 2
    labels = ['happiness'] * 4 + ['anger'] * 2
    right = [1, 1, 1, 0, 1, 0]
    classes = ['anger', 'happiness']
    scores = np.array([
        np.eye(2)[classes.index(label) if ok else 1 - classes.index(label)]
        for label, ok in zip(labels, right)
    ])
    names = list('abcdef')
    predictions = Predictions('x', names, labels, classes, {'clean': scores},
                              {})
    found = divide(predictions,
                   {'side': dict(zip(names, ['left'] * 3 + ['right'] * 3))})
    by_name = {g.name: g for g in found}
    assert by_name['all'][2:4] == (6, 4)
    assert by_name['happiness'].accuracy == 75
    assert by_name['left'][2:4] == (3, 3)
    # one of happiness, two of anger
    assert by_name['right'].by_labels == pytest.approx(100 * (.75 + .5 + .5) /
                                                       3)
    for group in found:
        low, high = binomtest(group.right,
                              group.faces).proportion_ci(method='wilson')
        assert group.interval == pytest.approx((100 * low, 100 * high))


def test_faces_of_another_test_are_refused():
    predictions = Predictions('run.json', ['a'], ['anger'], ['anger'],
                              {'clean': np.ones((1, 1))}, {})
    with pytest.raises(ValueError, match="run.json.*'a'"):
        divide(predictions, {'side': {'b': 'left'}})


def test_from_a_config_and_predictions(root):
    from mmengine.config import Config
    cfg = Config(
        dict(
            test_dataloader=dict(
                dataset=dict(
                    type='orsa.RAFDB', data_root=str(root), split='test'))))
    path = root / 'predictions.json'
    path.write_text(
        json.dumps(
            dict(
                classes=['surprise', 'fear'],
                samples=[
                    dict(name=f'test_{i:04}', label=i % 2, scores=[1, 0])
                    for i in range(6)
                ])))
    found = {
        (g.attribute, g.name): (g.faces, g.right)
        for g in subgroups(cfg, str(path))
    }
    assert found['all', 'all'] == (6, 3)
    assert found['occluder', 'type 1'] == (1, 0)
    assert found['colour', 'colour'] == (2, 1)


def test_a_face_without_a_line_in_the_sources(root):
    path = root / 'sources.csv'
    path.write_text('\n'.join(path.read_text().splitlines()[:-1]))
    with pytest.raises(ValueError, match='sources.csv.*test_0005'):
        _groups(root)


def test_sources_may_name_the_subjects_alone(root):
    """RAFDB asks for no other columns."""
    persons = [f'test_{i:04},{i % 3}' for i in range(6)]
    (root / 'sources.csv').write_text('\n'.join(['name,identity', *persons]))
    found = _groups(root)
    assert set(found['images of the person'].values()) == {'2 to 4'}
    assert 'source' not in found


@pytest.fixture
def call(faces_dir, tmp_path):
    """Subgroups of a model that predicts 'neutral' for every second face."""
    faces = RAFDB(str(faces_dir), split='test', indices=42)
    classes = list(faces.metainfo['classes'])
    samples = []
    for i in range(len(faces)):
        info = faces.get_data_info(i)
        label = int(info['gt_label'])
        pred = label if i % 2 else classes.index('neutral')
        samples.append(
            dict(
                name=info['name'],
                label=label,
                scores=[float(pred == c) for c in range(len(classes))]))
    results = tmp_path / 'predictions.json'
    results.write_text(json.dumps(dict(classes=classes, samples=samples)))
    right = sum(s['scores'][s['label']] == 1 for s in samples)

    def run(*arguments):
        parser = add_subgroup_arguments('Subgroups.')
        run_subgroups(
            parser.parse_args([
                'orsa::orsanet_lite_rafdb.py',
                str(results), *arguments, '--cfg-options',
                f'test_dataloader.dataset.data_root={faces_dir}',
                'test_dataloader.dataset.indices=42'
            ]))
        return len(samples), right

    return run


def test_the_table_is_printed_and_written(call, tmp_path, capsys):
    out = tmp_path / 'groups.md'
    number, right = call('--out', str(out))
    printed = capsys.readouterr().out
    assert out.read_text() == printed
    line = next(row for row in printed.splitlines() if row.startswith('| all'))
    assert f' {number} ' in line and f'{100 * right / number:.1f}' in line
    call('--out', str(tmp_path / 'groups.json'))
    groups = json.loads((tmp_path / 'groups.json').read_text())
    assert groups[0]['faces'] == number and groups[0]['right'] == right
    assert groups[0]['accuracy'] == pytest.approx(100 * right / number)
    with pytest.raises(ValueError, match='.md or .json'):
        call('--out', 'groups.txt')
