# Copyright (c) orsa contributors. All rights reserved.
"""Occluded images as files, and predictions of them that are scored."""
import csv
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_suite import CONFIG, NUM, make_faces, make_model

import orsa
from orsa import cli
from orsa.analysis.reliability import draw_reliability
from orsa.apis import init_model, load_config
from orsa.studies import occlusion_images
from orsa.studies.comparison import compare
from orsa.studies.occlusion_conditions import Condition
from orsa.studies.occlusion_faces import SuiteFaces
from orsa.studies.occlusion_report import write_report
from orsa.studies.occlusion_score import score

KINDS, SEVERITIES = ('hand', 'mask'), (1, 3)
CHOSEN = ['--kinds', *KINDS, '--severities', *map(str, SEVERITIES)]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Faces, a model, its suite, and the images of it."""
    root = tmp_path_factory.mktemp('images')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    make_model(root / 'tiny.py', root / 'a.pth')
    orsa.OcclusionSuite(
        str(root / 'tiny.py'),
        root / 'a.pth',
        kinds=KINDS,
        severities=SEVERITIES,
        work_dir=str(root / 'suite'),
        device='cpu').run()
    occlude(root, 'occluded')
    return root


@pytest.fixture(scope='module')
def predicted(made):
    """The model's predictions of the images, without orsa's pipelines."""
    rows = manifest_of(made)
    classes = parameters_of(made)['classes']
    model = init_model(str(made / 'tiny.py'), str(made / 'a.pth'), 'cpu')
    found = []
    for start in range(0, len(rows), NUM):
        images = [
            cv2.resize(np.asarray(Image.open(made / 'occluded' / r['file'])),
                       (32, 32))
            for r in rows[start:start + NUM]
        ]  # yapf: disable
        inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        with torch.no_grad():
            scores = model((inputs.float() - 127) / 50, mode='tensor')
        found += scores.softmax(1).tolist()
    return [[r['file'], classes[int(np.argmax(s))], *s]
            for r, s in zip(rows, found)]


def occlude(root, name, *more):
    code = cli.main([
        'occlude',
        str(root / 'tiny.py'), '--out',
        str(root / name), *CHOSEN, *more
    ])
    return code


def manifest_of(root, name='occluded'):
    with open(root / name / 'manifest.csv', newline='') as file:
        return list(csv.DictReader(file))


def parameters_of(root, name='occluded'):
    return json.loads((root / name / 'manifest.json').read_text())


def write(path, header, rows):
    with open(path, 'w', newline='') as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def flat(value, place=()):
    """Every number and text of a report, by its place."""
    items = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(items, dict):
        return {place: value}
    return {
        k: v
        for name, item in items.items()
        for k, v in flat(item, (*place, name)).items()
    }


def test_the_report_is_that_of_the_suite(made, predicted):
    """Number by number: occlude, predict anywhere, score."""
    header = ['file', 'prediction', *parameters_of(made)['classes']]
    path = write(made / 'scores.csv', header, predicted[::-1])  # in any order
    out = made / 'scored/occlusion_suite.json'
    assert cli.main([
        'score', path, '--manifest',
        str(made / 'occluded/manifest.csv'), '--out',
        str(out)
    ]) == 0
    suite = json.loads((made / 'suite/occlusion_suite.json').read_text())
    ours, theirs = flat(suite), flat(json.loads(out.read_text()))
    assert {p[0] for p in set(ours) - set(theirs)
            } == {'config', 'checkpoint', 'checkpoint_sha256',
                  'dataset'}  # yapf: disable
    assert {p[0] for p in set(theirs) - set(ours)} == {
        'predictions', 'manifest'}  # yapf: disable
    compared = 0
    for place in set(ours) & set(theirs):
        if place[-1] == 'pictures_sha256':
            assert theirs[place] is None
        elif isinstance(ours[place], float):
            assert theirs[place] == pytest.approx(ours[place], abs=1e-4), place
            compared += 1
        else:
            assert theirs[place] == ours[place], place
    assert compared > 300
    assert suite['lists']['occlusion_test']['num_samples'] == 5
    with np.load(made / 'suite/occlusion_suite_faces.npz') as found:
        arrays = dict(found)
    with np.load(made / 'scored/occlusion_suite_faces.npz') as found:
        assert set(found) == set(arrays)
        for name, values in arrays.items():
            if name == 'scores':
                assert abs(found[name] - values).max() < 1e-5
            else:
                assert np.array_equal(found[name], values), name
    # what reads a suite's report reads this one
    result = compare([str(made / 'suite/occlusion_suite.json'), str(out)])
    for condition in result['conditions'].values():
        assert condition['differences']['scored']['uar']['difference'] == 0
    files = write_report(json.loads(out.read_text()), str(made / 'page'), [])
    text = (made / 'page/occlusion_suite.html').read_text()
    assert files[-1].endswith('.html') and 'Predictions ' in text


def test_predictions_without_scores(made, predicted, capsys):
    path = write(made / 'labels.csv', ['prediction', 'file'],
                 [[r[1], r[0]] for r in predicted])
    out = made / 'labels/occlusion_suite.json'
    assert cli.main([
        'score', path, '--manifest',
        str(made / 'occluded/manifest.csv'), '--out',
        str(out)
    ]) == 0
    printed = capsys.readouterr().out
    assert '| mean, common scale |' in printed and '| area, worn |' in printed
    report = json.loads(out.read_text())
    suite = json.loads((made / 'suite/occlusion_suite.json').read_text())
    ours, theirs = flat(suite), flat(report)
    calibration = {p for p in theirs if p[-1] in ('ece', 'confidence')}
    assert calibration and all(theirs[p] is None for p in calibration)
    for name in ('accuracy', 'uar', 'macro_f1', 'agreement', 'absolute'):
        places = [p for p in ours if name in p]
        assert places
        assert [theirs[p]
                for p in places] == pytest.approx([ours[p] for p in places])
    result = compare([str(made / 'suite/occlusion_suite.json'), str(out)])
    mean = result['conditions']['mean, worn']
    assert mean['differences']['labels']['uar']['difference'] == 0
    assert mean['figures']['labels']['ece'] is None
    with pytest.raises(ValueError, match='no probabilities'):
        draw_reliability([str(out)], str(made / 'reliability.png'))
    write_report(report, str(made / 'labels_page'), [])
    assert 'ECE)' not in (made / 'labels_page/occlusion_suite.md').read_text()


def test_images_are_what_the_manifest_says(made):
    rows, parameters = manifest_of(made), parameters_of(made)
    assert len(rows) == NUM * 5 == len({r['file'] for r in rows})
    written = {
        p.relative_to(made / 'occluded').as_posix()
        for p in (made / 'occluded').rglob('*') if p.is_file()
    }
    assert written == {r['file']
                       for r in rows} | {'manifest.csv', 'manifest.json'}
    for row in rows:
        image = np.asarray(Image.open(made / 'occluded' / row['file']))
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        assert hashlib.sha256(image.tobytes()).hexdigest() == row['sha256']
    by_file = {r['file']: r for r in rows}
    row = by_file['mask/3/test_0004.png']
    assert (row['name'], row['kind'], row['severity']) == ('test_0004', 'mask',
                                                           '3')
    assert row['class'] == parameters['classes'][4]
    with np.load(made / 'suite/occlusion_suite_faces.npz') as faces:
        at = faces['cells'].tolist().index('mask 3')
        assert float(row['ratio']) == faces['ratio'][at, 4]
    source = made / 'basic/Image/aligned/test_0004_aligned.jpg'
    clean = cv2.imread(str(made / 'occluded/clean/test_0004.png'))
    assert np.array_equal(clean, cv2.imread(str(source)))
    assert parameters['seed'] == 0 and parameters['severities'] == [1, 3]
    assert parameters['dataset'] == dict(
        type='RAFDB', split='test', num_faces=NUM, num_skipped=0)


def test_it_goes_on_where_it_was_stopped(made, monkeypatch, capsys):
    save, count = cv2.imwrite, []

    def stop_in_the_third(path, image):
        if len(count) == 2 * NUM + 7:
            raise KeyboardInterrupt
        count.append(path)
        return save(path, image)

    monkeypatch.setattr(cv2, 'imwrite', stop_in_the_third)
    assert occlude(made, 'stopped') == 130
    folder = made / 'stopped'
    assert not (folder / 'manifest.csv').exists()
    images = list(folder.rglob('*.png'))
    assert len(images) == len(count) and all(
        cv2.imread(str(p)) is not None for p in images)
    args = ['score', 'x.csv', '--manifest', str(folder / 'manifest.csv')]
    assert cli.main(args) == 2
    assert 'when all images are written' in capsys.readouterr().err
    monkeypatch.setattr(cv2, 'imwrite', save)
    written = []
    monkeypatch.setattr(cv2, 'imwrite', lambda path, image: written.append(
        path) or save(path, image))  # yapf: disable
    assert occlude(made, 'stopped') == 0
    assert len(written) == 3 * NUM  # two conditions were complete
    for name in ('manifest.csv', 'manifest.json'):
        assert (folder / name).read_bytes() == (made / 'occluded' /
                                                name).read_bytes()
    # all is there, or it is another's folder
    written.clear()
    assert occlude(made, 'stopped') == 0 and not written
    assert occlude(made, 'stopped', '--occlusion-seed', '1') == 2
    assert occlude(made, 'stopped', '--max-samples', '3') == 2
    errors = capsys.readouterr().err
    assert 'another occluders_sha256, seed. Name another folder' in errors
    assert 'another dataset, faces_sha256' in errors and not written


def test_workers_change_nothing(made):
    assert occlude(made, 'workers', '--workers', '2') == 0
    assert (made / 'workers/manifest.csv').read_bytes() == (
        made / 'occluded/manifest.csv').read_bytes()


def test_clean_images_alone_of_some_faces(made):
    assert cli.main([
        'occlude',
        str(made / 'tiny.py'), '--out',
        str(made / 'clean'), '--severities', '--max-samples', '4',
        '--cfg-options', 'test_dataloader.dataset.classes=["fear","anger"]'
    ]) == 0
    rows = manifest_of(made, 'clean')
    assert {r['class'] for r in rows} == {'fear', 'anger'} and len(rows) == 4
    assert {r['file'].split('/')[0] for r in rows} == {'clean'}


@pytest.mark.parametrize('change, message', [
    (lambda rows: rows[1:], 'missing files: 1, such as clean/test_0000.png'),
    (lambda rows: [*rows, rows[3], rows[4]],
     'rows of files that had one before: 2, such as clean/test_0003.png'),
    (lambda rows: [*rows, ['no.png', 'fear', *rows[0][2:]]],
     r'rows of unknown files: 1, such as no.png \(fear\)'),
    (lambda rows: [[r[0], 'fury', *r[2:]] for r in rows],
     r'rows of unknown classes: 105, such as clean/test_0000.png \(fury\)'),
    (lambda rows: [*rows[:-1], [*rows[-1][:2], *[.5] * 7]],
     'rows of no probabilities: 1, such as mask/3/test_0020.png'),
    (lambda rows: [*rows[:-1], [*rows[-1][:2], 'x', *rows[-1][3:]]],
     'rows of no probabilities: 1'),
    (lambda rows: [[*r[:2], *np.roll(r[2:], 1)] for r in rows],
     'rows whose prediction is not the most probable class: 105'),
    (lambda rows: [*rows[2:], rows[2]], 'before: 1, .*; missing files: 2'),
])  # yapf: disable
def test_no_prediction_is_lost(made, predicted, tmp_path, change, message):
    header = ['file', 'prediction', *parameters_of(made)['classes']]
    path = write(tmp_path / 'wrong.csv', header, change(predicted))
    with pytest.raises(ValueError, match=message) as error:
        score(path, str(made / 'occluded/manifest.csv'))
    assert path in str(error.value)


def test_the_stated_one_of_equal_scores_counts(made, predicted, tmp_path):
    classes = parameters_of(made)['classes']
    header = ['file', 'prediction', *classes]
    rows = [[r[0], classes[5], *[0, .2, 0, .4, 0, .4, 0]] for r in predicted]
    path = write(tmp_path / 'tied.csv', header, rows)
    report, _ = score(path, str(made / 'occluded/manifest.csv'))
    plain = write(tmp_path / 'plain.csv', header[:2], [r[:2] for r in rows])
    expected, _ = score(plain, str(made / 'occluded/manifest.csv'))
    for key in ('accuracy', 'confusion_matrix'):
        assert report['clean'][key] == expected['clean'][key]


def test_other_columns_and_manifests(made, predicted, tmp_path):
    manifest = str(made / 'occluded/manifest.csv')
    for header in (['file', 'class'], ['file', 'prediction', 'fear'], []):
        path = write(tmp_path / 'p.csv', header,
                     [r[:len(header)] for r in predicted])
        with pytest.raises(ValueError, match='has the columns'):
            score(path, manifest)
    for name in ('manifest.csv', 'manifest.json'):
        shutil.copy(made / 'occluded' / name, tmp_path)
    lines = (tmp_path / 'manifest.csv').read_text().splitlines()
    (tmp_path / 'manifest.csv').write_text('\n'.join(lines[:-1]))
    path = write(tmp_path / 'p.csv', ['file', 'prediction'],
                 [r[:2] for r in predicted])
    with pytest.raises(ValueError, match='other rows than the 5 conditions'):
        score(path, str(tmp_path / 'manifest.csv'))


def test_what_cannot_be_written(made, tmp_path, capsys, monkeypatch):
    (tmp_path / 'none.py').write_text('a = 1')
    for config, message in ((str(tmp_path / 'none.py'), 'no test data'),
                            ('orsanet_huge', "no model 'orsanet_huge'")):
        assert cli.main(['occlude', config, '--out', str(tmp_path / 'o')]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setattr(occlusion_images.SuiteFaces, '__len__', lambda _: NUM)
    faces = SuiteFaces(load_config(str(made / 'tiny.py')), [], 0, [])
    for name, message in (('test_0001', "2 faces are called 'test_0001'"),
                          ('../a', "'../a' is no path below")):
        faces.names[0] = name
        with pytest.raises(ValueError, match=message):
            occlusion_images.write_images(faces, (), (),
                                          str(tmp_path / 'names'))
    assert not (tmp_path / 'names').exists()


# the first digits of sha256 in a manifest, of images in which no kernel of
# OpenCV (IPP or its own) rounds otherwise; other values are another protocol
DRAWN = {
    (('clean', 0), 'test_000000'): '84fc22b1a33f2d2d',
    (('hand', 1), 'test_000003'): '244a4aa9a609a07e',
    (('block', 2), 'test_000002'): 'bb75c657e69045ea',
    (('object', 3), 'test_000003'): '4988cada8abd9e17',
    (('square', 4), 'test_000004'): '1458c15e14e25123',
    (('grid', 5), 'test_000005'): '6f8b982206ffe19c',
    (('patches', 1), 'test_000006'): '054089c76fa6bbc0',
    (('texture', 2), 'test_000000'): 'e63f06b9b2e80fa9',
    (('crop', 3), 'test_000001'): '21b3c1a0747de2e3',
    (('sunglasses', 4), 'test_000002'): 'd3b619998604a43b',
    (('mask', 5), 'test_000003'): 'd6e77d081ff41d5a',
    (('scarf', 1), 'test_000004'): '946042fa059ebb8e',
    (('hat', 2), 'test_000005'): 'a3ce022813cf9771',
}
PRESS = {
    (('clean', 0), 'test_00001'): '1116b8850f167cc7',
    (('hand', 1), 'test_00002'): '6f53db25c0e39e69',
    (('block', 2), 'test_00003'): '560423138e0ee4eb',
    (('object', 3), 'test_00004'): '079511bad67cb4b5',
    (('square', 4), 'test_00005'): 'e49d0e70e921b2ca',
    (('grid', 5), 'test_00006'): '524460b6e2754f08',
    (('patches', 1), 'test_00007'): 'e08b444d2304fd30',
    (('texture', 2), 'test_00001'): '0bb452efba5ae353',
    (('crop', 3), 'test_00002'): 'eb2b7cba70d14394',
    (('sunglasses', 4), 'test_00003'): '8b711a51d3fb9586',
    (('mask', 5), 'test_00004'): 'a349d2acfdfa7b89',
    (('scarf', 1), 'test_00005'): '4f6ee9a38991b4d0',
    (('hat', 2), 'test_00006'): '66a2971849c75ee9',
}
FERPLUS = {
    (('clean', 0), 'fer0032220'): 'd1d411c3dc5b4daf',
    (('hand', 1), 'fer0032223'): 'c770bca0e6bb7e38',
    (('block', 2), 'fer0032225'): '2839bbe384fd75eb',
    (('object', 3), 'fer0032226'): 'a8d208099fe1ecbc',
    (('square', 4), 'fer0032227'): '06966d1e39bc35dc',
    (('grid', 5), 'fer0032228'): '749223d467ed0f45',
    (('patches', 1), 'fer0032229'): '81dfd223029b56b8',
    (('texture', 2), 'fer0032220'): '48361b908df99005',
    (('crop', 3), 'fer0032223'): '8aa85edf064da30c',
    (('sunglasses', 4), 'fer0032225'): 'cf6bff1577f068a3',
    (('mask', 5), 'fer0032226'): '7628b629d9f90d4e',
    (('scarf', 1), 'fer0032227'): '81a1b8639b317e05',
    (('hat', 2), 'fer0032228'): '1e0bd9fd5e8e6fd9',
}


def hashes(cfg, expected):
    faces = SuiteFaces(cfg, [], 0, [])
    found = {}
    for condition, name in expected:
        image, _ = faces.sample(Condition(*condition), faces.names.index(name))
        pixels = np.ascontiguousarray(image[..., ::-1])
        found[condition, name] = hashlib.sha256(pixels).hexdigest()[:16]
    return found


def test_drawn_images_are_the_same_everywhere(made):
    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset = dict(
        type='orsa.SyntheticFaces',
        num_samples=7,
        split='test',
        size=64,
        pipeline=[
            dict(type='orsa.DrawSyntheticFace'),
            *cfg.test_dataloader.dataset.pipeline[1:]
        ])
    assert hashes(cfg, DRAWN) == DRAWN


def test_press_faces_are_the_same_everywhere(made, faces_dir):
    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset.data_root = str(faces_dir)
    assert hashes(cfg, PRESS) == PRESS


def test_ferplus_is_the_same_everywhere(made, ferplus_dir):
    cfg = load_config(str(made / 'tiny.py'))
    cfg.test_dataloader.dataset.update(
        type='orsa.FERPlus', data_root=str(ferplus_dir))
    assert hashes(cfg, FERPLUS) == FERPLUS
