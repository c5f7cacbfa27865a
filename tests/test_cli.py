# Copyright (c) orsa contributors. All rights reserved.
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

import orsa.apis
from orsa import cli
from orsa.apis import init_model
from orsa.utils import doctor


@pytest.fixture(scope='module')
def photo(faces_dir):
    image = np.full((300, 560, 3), 110, np.uint8)
    for k, name in enumerate(('test_00060', 'test_00130')):
        face = cv2.imread(
            str(faces_dir / 'basic/Image/aligned' / f'{name}_aligned.jpg'))
        image[50:242,
              40 + 260 * k:232 + 260 * k] = cv2.resize(face, (192, 192))
    return image


@pytest.fixture
def one_model(monkeypatch):
    """Load it once, and keep count of it."""
    loaded = []
    real = orsa.apis.FERInferencer
    model = init_model('orsanet_lite')

    def inferencer(name, weights, *args, **kwargs):
        loaded.append(name)
        if name != 'orsanet_lite':
            return real(name, weights, *args, **kwargs)
        return real(model, None, *args, **kwargs)

    monkeypatch.setattr(orsa.apis, 'FERInferencer', inferencer)
    return loaded


def test_help_needs_nothing_heavy(tmp_path):
    code = ('import sys\n'
            'from orsa.cli import main\n'
            'try:\n'
            '    main(sys.argv[1:])\n'
            'except SystemExit as end:\n'
            '    assert end.code == 0, end.code\n'
            'heavy = {"torch", "cv2", "mmcv", "mmpretrain"} & set(sys.modules)'
            '\nassert not heavy, heavy\n')
    for arguments, expected in ((['--help'], 'exit codes'), ([
            'predict', '--help'
    ], 'orsa predict photo.jpg --out results'), (['--version'], 'orsa ')):
        done = subprocess.run([sys.executable, '-c', code, *arguments],
                              capture_output=True,
                              text=True,
                              cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


def test_as_a_module_and_wrong_usage(tmp_path):
    done = subprocess.run([sys.executable, '-m', 'orsa', 'predict'],
                          capture_output=True,
                          text=True,
                          cwd=tmp_path)
    assert done.returncode == cli.USAGE
    assert 'arguments are required: PATH' in done.stderr


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, '--help'])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f'  orsa {name}' in said and 'exit codes' in said
    # the examples are commands that the parser takes
    for line in cli.COMMANDS[name].examples.splitlines():
        words = line.replace("'", '').split()
        args = cli.build_parser(name).parse_args(words[1:])
        assert args.command == name


def test_predict(photo, one_model, tmp_path, capsys):
    (tmp_path / 'a').mkdir()
    cv2.imwrite(str(tmp_path / 'a/two.png'), photo)
    cv2.imwrite(str(tmp_path / 'two.jpg'), photo)
    cv2.imwrite(str(tmp_path / 'none.png'), photo[:40])
    out = tmp_path / 'out'
    paths = [str(tmp_path / n) for n in ('a', 'two.jpg', 'none.png')]
    arguments = ['--out', str(out), '--cards', '--masks', '--min-confidence']
    assert cli.main(['predict', *paths, *arguments, '0']) == cli.OK
    said = capsys.readouterr().out
    assert 'no face was found' in said and '4 faces in 3 pictures' in said
    assert len(one_model) == 1
    with open(out / 'predictions.jsonl') as file:
        rows = [json.loads(line) for line in file]
    assert [r['picture']
            for r in rows] == [f'{paths[0]}/two.png'] * 2 + [paths[1]] * 2
    assert rows[2]['files'][0] == 'two_2_faces.jpg'
    assert sorted(p.name for p in out.iterdir()) == sorted([
        'predictions.jsonl', 'summary.json', 'none_faces.jpg',
        *(name for stem in ('two', 'two_2')
          for name in (f'{stem}_faces.jpg', f'{stem}_face0.png',
                       f'{stem}_face1.png', f'{stem}_face0_parsing.png',
                       f'{stem}_face1_parsing.png'))
    ])
    assert cv2.imread(str(out / 'two_faces.jpg')).shape[1] == 640
    mask = cv2.imread(str(out / 'two_face0_parsing.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (128, 128) and mask.max() < 11
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['without_faces'] == [paths[2]] and summary['faces'] == 4


def test_predict_goes_on_after_what_fails(photo, one_model, tmp_path, capsys):
    good, bad = str(tmp_path / 'good.png'), str(tmp_path / 'bad.png')
    cv2.imwrite(good, photo)
    (tmp_path / 'bad.png').write_text('no picture')
    out = tmp_path / 'out'
    arguments = ['--out', str(out), '--quiet', '--no-pictures']
    assert cli.main(['predict', bad, good, *arguments]) == cli.SOME_FAILED
    said, errors = capsys.readouterr()
    assert not said and errors.startswith(f'orsa: {bad}: ')
    assert errors.count('\n') == 1
    summary = json.loads((out / 'summary.json').read_text())
    assert [e['picture'] for e in summary['errors']] == [bad]
    assert summary['faces'] == 2
    assert sorted(p.name for p in out.iterdir()) == [
        'predictions.jsonl', 'summary.json'
    ]


@pytest.mark.parametrize('arguments, reason', [
    (['--model', 'orsanet_huge'], "no model 'orsanet_huge'"),
    (['--model', 'orsa::orsanet_lite_rafdb.py'], 'comes without weights'),
    (['--weights', 'nowhere.pth'], 'nowhere.pth'),
    (['--detector', 'yunet:nowhere.onnx'], 'no YuNet file'),
])
def test_wrong_models_and_detectors_are_usage(tmp_path, capsys, arguments,
                                              reason):
    out = tmp_path / 'out'
    code = cli.main(['predict', 'a.jpg', '--out', str(out), *arguments])
    assert code == cli.USAGE
    assert reason in capsys.readouterr().err and not out.exists()


def test_numbers_out_of_range(capsys):
    for arguments in (['--min-confidence', '2'], ['--batch-size', '0']):
        with pytest.raises(SystemExit) as end:
            cli.main(['predict', 'a.jpg', *arguments])
        assert end.value.code == cli.USAGE


def test_video(photo, one_model, tmp_path, capsys):
    clip = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(
        str(clip), cv2.VideoWriter_fourcc(*'MJPG'), 10., photo.shape[1::-1])
    for _ in range(6):
        writer.write(photo)
    writer.release()
    (tmp_path / 'bad.mp4').write_text('no video')
    out = tmp_path / 'out'
    code = cli.main([
        'video',
        str(tmp_path / 'bad.mp4'),
        str(clip), '--out',
        str(out), '--every', '2'
    ])
    assert code == cli.SOME_FAILED
    said, errors = capsys.readouterr()
    assert '2 faces in 6 frames' in said and 'bad.mp4: it is no' in errors
    # as for a file, so for a folder; and where a folder should be
    assert cli.main(['video', str(tmp_path)]) == cli.SOME_FAILED
    assert cli.main(['predict', str(clip), '--out', str(clip)]) == cli.USAGE
    errors = capsys.readouterr()[1]
    assert 'it is a folder, name the videos' in errors
    assert "clip.avi' is a file: name a folder" in errors
    # the frames of a video as pictures
    assert cli.main([
        'predict',
        str(clip), '--no-pictures', '--out',
        str(tmp_path / 'frames')
    ]) == cli.OK
    assert 'clip.avi, frame 5: ' in capsys.readouterr()[0]
    with open(out / 'clip_faces.jsonl') as file:
        rows = [json.loads(line) for line in file]
    assert {(r['frame'], r['track'])
            for r in rows} == {(f, t)
                               for f in (0, 2, 4)
                               for t in (1, 2)}


def test_webcam_that_is_not_there(one_model, capsys):
    assert cli.main(['webcam', '--no-window']) == cli.USAGE
    code = cli.main(['webcam', '--camera', '97'])
    assert code == cli.SOME_FAILED
    assert 'no camera 97' in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(['webcam', '--camera', '-3'])
    assert end.value.code == cli.USAGE
    assert '-3 is no number of a camera' in capsys.readouterr().err


def test_models(capsys):
    assert cli.main(['models', '--configs']) == cli.OK
    said = capsys.readouterr().out
    assert 'orsanet_lite\n' in said and '254 training faces' in said
    assert 'orsa::orsanet_demo.py' in said and 'orsa::_base_' not in said


def test_train_and_test_are_the_tools(monkeypatch, capsys):
    from orsa.apis import testing, training
    seen = []
    monkeypatch.setattr(training, 'train', lambda args: seen.append(args))
    monkeypatch.setattr(testing, 'test', lambda args: seen.append(args))
    assert cli.main(['train', 'a.py', '--max-iters', '3', '--amp']) == cli.OK
    assert cli.main(['test', 'a.py', 'b.pth', '--occlusion-suite']) == cli.OK
    assert seen[0].max_iters == 3 and seen[0].amp
    assert seen[1].checkpoint == 'b.pth' and seen[1].occlusion_suite
    monkeypatch.undo()
    assert cli.main(['train', 'nowhere.py']) == cli.USAGE
    assert 'nowhere.py' in capsys.readouterr().err


def test_doctor(monkeypatch, capsys):
    assert cli.main(['doctor']) == cli.OK
    said = capsys.readouterr().out
    for name in ('torch', 'mmcv', 'face detector', 'orsanet_lite.pth'):
        assert f'ok      {name}' in said
    # something needed is gone: what to type, and an exit code
    real = doctor.installed
    from orsa.utils import versions
    for module in (doctor, versions):
        monkeypatch.setattr(
            module, 'installed', lambda name: None
            if name == 'mmpretrain' else real(name))
    assert cli.main(['doctor']) == cli.ENVIRONMENT
    said = capsys.readouterr().out
    assert 'MISSING mmpretrain' in said
    assert 'needed    mmpretrain: mmpretrain is missing: pip install' in said


def test_ctrl_c(monkeypatch, one_model, capsys):

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(orsa.apis, 'FERInferencer', stop)
    assert cli.main(['predict', 'a.jpg']) == cli.INTERRUPTED
