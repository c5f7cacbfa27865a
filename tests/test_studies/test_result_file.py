# Copyright (c) orsa contributors. All rights reserved.
"""Protects results: what is written, what validation finds, repeating."""
import hashlib
import json
import shlex

import cv2
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score
from tiny_suite import CONFIG, NUM, make_faces, make_model

from orsa import cli
from orsa.studies.comparison import compare
from orsa.studies.result_check import validate
from orsa.studies.result_file import schema_errors
from orsa.utils.fileio import file_hash, load_npz, save_npz

ABOUT = ['title=Tiny', 'data=drawn', 'epoch=last', 'selected_on=nothing']
SUITE = ['--occlusion-suite', '--kinds', 'mask', '--severities', '1', '3']


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Faces, two checkpoints, and results of a plain test and of a suite."""
    root = tmp_path_factory.mktemp('results')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    for seed in (0, 1):
        make_model(root / 'tiny.py', root / f'{seed}.pth', seed=seed)
        assert run(root, 'plain.json', seed) == 0
    assert run(root, 'suite.json', 0, SUITE) == 0
    return root


def run(root, name, seed, more=(), about=ABOUT):
    return cli.main([
        'test',
        str(root / 'tiny.py'),
        str(root / f'{seed}.pth'), '--work-dir',
        str(root / f'work{seed}'), '--result',
        str(root / name), *more, '--about', f'seed={seed}', *about
    ])


def read(path):
    return json.loads(path.read_text())


@pytest.fixture
def copied(made, tmp_path):
    """The result of the suite elsewhere, to be damaged."""
    for name in ('suite.json', 'suite_seed0.npz'):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    return tmp_path / 'suite.json'


def test_what_is_stated(made):
    result = read(made / 'plain.json')
    assert [r['seed'] for r in result['runs']] == [0, 1]
    assert result['protocol']['name'] == 'plain test'
    assert read(made / 'suite.json')['protocol'] == dict(
        name='occlusion suite',
        version=1,
        seed=0,
        kinds=['mask'],
        severities=[1, 3])
    for seed, done in enumerate(result['runs']):
        assert done['checkpoint_sha256'] == file_hash(made / f'{seed}.pth')
        faces = load_npz(str(made / f'plain_seed{seed}.npz'))
        predicted = faces['predicted'][0]
        assert done['metrics']['clean'] == pytest.approx(
            dict(
                num_faces=NUM,
                accuracy=100 * accuracy_score(faces['labels'], predicted),
                uar=100 *
                recall_score(faces['labels'], predicted, average='macro'),
                macro_f1=100 * f1_score(
                    faces['labels'],
                    predicted,
                    average='macro',
                    zero_division=0)))


def test_the_hashes_are_those_of_the_files(made):
    labels = (made / 'basic/EmoLabel/list_patition_label.txt').read_text()
    result = read(made / 'plain.json')
    text, pixels = '', hashlib.sha256()
    for line in labels.splitlines():  # which are sorted already
        name, number = line.split('.jpg ')
        text += f"{name} {result['classes'][int(number) - 1]}\n"
        image = cv2.imread(
            str(made / f'basic/Image/aligned/{name}_aligned.jpg'))
        pixels.update(b'64 64' + image.tobytes())
    data = result['dataset']
    assert data['list_sha256'] == hashlib.sha256(text.encode()).hexdigest()
    assert data['pixels_sha256'] == pixels.hexdigest()


def test_the_command_gives_the_same_run(made, capsys):
    for name in ('plain', 'suite'):
        before = read(made / f'{name}.json')
        words = shlex.split(before['runs'][0]['command'])
        cells = made / 'work0' / 'occlusion_cells'
        for path in cells.glob('*.npz'):
            path.unlink()  # computed again, not taken from the disk
        (made / f'{name}_seed0.npz').unlink()
        assert words[0] == 'orsa' and cli.main(words[1:]) == 0
        assert read(made / f'{name}.json') == before
        data = ['--data', str(made / 'tiny.py')]
        assert cli.main(['validate', str(made / f'{name}.json'), *data]) == 0
        printed = capsys.readouterr().out
        assert f'right: the {NUM} faces' in printed
        assert 'not checked: that the predictions' in printed


@pytest.mark.parametrize('more, about, message', [
    ([], ['title=Other', *ABOUT[1:]], 'is of another method'),
    (SUITE, ABOUT, 'is of another protocol'),
    (['--max-samples', '3'], ABOUT, 'is of all faces'),
    ([], ABOUT[1:], "lacks ['title']"),
    ([], [*ABOUT, 'colour=red'], "does not know ['colour']"),
    ([], [*ABOUT, 'epoch=middle'], '--about epoch'),
])
def test_refused(made, more, about, message, capsys):
    before = (made / 'plain.json').read_bytes()
    assert run(made, 'plain.json', 0, more, about) == 2
    assert message in capsys.readouterr().err
    assert (made / 'plain.json').read_bytes() == before


def test_a_refused_result_leaves_the_former_one(made, monkeypatch, capsys):
    files = [made / 'plain.json', made / 'plain_seed0.npz']
    before = [file.read_bytes() for file in files]
    # where the schema wants a text
    monkeypatch.setattr('orsa.studies.result_file._hardware', lambda: 1)
    assert run(made, 'plain.json', 0, [], ABOUT) == 2
    assert 'is not written: ' in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == before


def test_another_method_is_refused_before_the_test(made, monkeypatch):
    monkeypatch.setattr('orsa.studies.suite_command.test',
                        lambda _: pytest.fail('it was tested'))
    assert run(made, 'plain.json', 0, [], ['title=Other', *ABOUT[1:]]) == 2


@pytest.mark.parametrize('keys, value, message', [
    ('runs 0 metrics mask_1 uar', lambda v: v + 2e-6, "uar of 'mask 1'"),
    ('runs 0 metrics clean accuracy', lambda v: float('nan'),
     "accuracy of 'clean'"),
    ('runs 0 metrics clean num_faces', lambda v: v - 1, 'num_faces'),
    ('dataset faces_by_class fear', lambda v: v + 1, 'faces_by_class'),
    ('dataset list_sha256', lambda v: v[::-1], 'list_sha256'),
    ('runs 0 predictions_sha256', lambda v: v[::-1], 'predictions_sha256'),
    ('runs 0 predictions', lambda v: 'none.npz', 'cannot be read'),
    ('runs 0 checkpoint_sha256', lambda v: None, 'no_checkpoint'),
    ('runs', lambda v: v * 2, 'each should be there once'),
    ('protocol severities', lambda v: [1], 'conditions of the protocol'),
    ('protocol seed', lambda v: 7, 'seed of the occluders'),
    ('classes', lambda v: v[::-1], 'classes'),
    ('epoch', lambda v: 'first', 'epoch: '),
    ('runs 0 seed', lambda v: -1, 'runs[0].seed: '),
    ('runs 0 seed', lambda v: True, 'runs[0].seed: '),
    ('runs 0 predictions', lambda v: '../a.npz', 'runs[0].predictions: '),
    ('method title', lambda v: 'a|b', 'method.title: '),
    ('runs', lambda v: [], 'runs: '),
    ('schema_version', lambda v: 2, 'schema_version: '),
    ('schema_version', lambda v: True, 'schema_version: '),
])
def test_what_is_wrong_is_named(copied, keys, value, message, capsys):
    result = read(copied)
    *path, last = [
        int(k) if k.isdigit() else k.replace('mask_1', 'mask 1')
        for k in keys.split()
    ]
    part = result
    for key in path:
        part = part[key]
    part[last] = value(part[last])
    copied.write_text(json.dumps(result))
    assert cli.main(['validate', str(copied)]) == 1
    wrong = [
        line for line in capsys.readouterr().out.splitlines()
        if line.startswith('wrong: ')
    ]
    assert any(message in line for line in wrong), wrong


def test_another_prediction_is_found_by_the_metrics(copied):
    file = copied.parent / 'suite_seed0.npz'
    faces = load_npz(str(file))
    faces['predicted'][0, 0] = (faces['predicted'][0, 0] + 1) % 7
    save_npz(str(file), **faces)
    result = read(copied)
    assert 'predictions_sha256' in validate(str(copied)).wrong[0]
    result['runs'][0]['predictions_sha256'] = file_hash(file)
    copied.write_text(json.dumps(result))
    found = validate(str(copied)).wrong
    assert found and all("of 'clean'" in w or 'of \'really' in w
                         for w in found)


def test_keys_too_few_and_too_many(made):
    result = read(made / 'suite.json')
    assert not list(schema_errors(result))
    del result['epoch']
    result['method']['colour'] = 'red'
    assert list(schema_errors(result)) == [
        "the file: 'epoch' is a required property",
        "method: Additional properties are not allowed ('colour' was "
        'unexpected)'
    ]


def test_other_data(made, tmp_path):
    """One pixel of one image, and one label."""
    make_faces(tmp_path)
    config = tmp_path / 'other.py'
    config.write_text(CONFIG.replace('{root}', str(tmp_path)))
    path = tmp_path / 'basic/Image/aligned/test_0003_aligned.jpg'
    image = cv2.imread(str(path))
    image[:8, :8] += 40
    cv2.imwrite(str(path), image)
    wrong = validate(str(made / 'plain.json'), str(config)).wrong
    assert len(wrong) == 1 and wrong[0].startswith('pixels_sha256')
    labels = tmp_path / 'basic/EmoLabel/list_patition_label.txt'
    labels.write_text(labels.read_text().replace('0003.jpg 4', '0003.jpg 5'))
    wrong = validate(str(made / 'plain.json'), str(config)).wrong
    assert [w.split()[0] for w in wrong] == ['list_sha256', 'pixels_sha256']


def test_predictions_are_compared_as_the_report_is(made):
    """The same paired tests from the classes as from the scores."""
    run(made, 'other.json', 1, SUITE)
    by_class = compare(
        [str(made / 'suite_seed0.npz'),
         str(made / 'other_seed1.npz')], 'ab', 200)['conditions']
    by_score = compare(
        [str(made / f'work{i}/occlusion_suite.json') for i in (0, 1)], 'ab',
        200)['conditions']
    assert set(by_class) == set(by_score)
    for name, found in by_class.items():
        assert found['differences'] == by_score[name]['differences']
        assert found['figures']['a']['ece'] is None
