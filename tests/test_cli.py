# Copyright (c) orsa contributors. All rights reserved.
"""The command `orsa`: what it prints and writes, and its exit codes."""
import csv
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

import orsa.apis
from orsa import cli
from orsa.apis import init_model, predicting
from orsa.cli import doctor
from orsa.utils import command
from orsa.utils.fileio import file_hash
from orsa.utils.folder_lock import locked_folder
from orsa.utils.shipped import zoo_path


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
    """The shipped model, loaded once, with a count of its uses."""
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
    assert done.returncode == command.USAGE
    assert 'arguments are required: PATH' in done.stderr


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, '--help'])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert f'  orsa {name}' in printed and 'exit codes' in printed
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
    arguments = ['--out', str(out), '--cards', '--masks', '--embeddings']
    assert cli.main(['predict', *paths, *arguments, '--min-confidence',
                     '0']) == command.OK  # yapf: disable
    printed = capsys.readouterr().out
    assert 'no face was found' in printed and '4 faces in 3 images' in printed
    assert len(one_model) == 1
    with open(out / 'predictions.jsonl') as file:
        rows = [json.loads(line) for line in file]
    assert [r['file']
            for r in rows] == [f'{paths[0]}/two.png'] * 2 + [paths[1]] * 2
    assert rows[2]['files'][0] == 'two_2_faces.jpg'
    assert [r['face'] for r in rows] == [1, 2, 1, 2]
    with open(out / 'predictions.csv', newline='') as file:
        table = list(csv.DictReader(file))
    with np.load(out / 'embeddings.npz') as vectors:
        assert vectors['embeddings'].shape == (4, 192)
        named = list(zip(vectors['files'], vectors['faces'].tolist()))
    assert len(table) == 4
    for row, cells, name in zip(rows, table, named):
        assert (cells['file'], int(cells['face'])) == name
        assert (row['file'], row['face']) == name
        assert cells['frame'] == cells['time'] == ''
        assert float(cells['y1']) == row['box'][3]
        assert float(cells['sadness']) == row['scores']['sadness']
    assert sorted(p.name for p in out.iterdir()) == sorted([
        'predictions.jsonl', 'predictions.csv', 'summary.json',
        'none_faces.jpg', 'embeddings.npz',
        *(name for stem in ('two', 'two_2')
          for name in (f'{stem}_faces.jpg', f'{stem}_face1.png',
                       f'{stem}_face2.png', f'{stem}_face1_parsing.png',
                       f'{stem}_face2_parsing.png'))
    ])
    assert cv2.imread(str(out / 'two_faces.jpg')).shape[1] == 640
    mask = cv2.imread(str(out / 'two_face1_parsing.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (128, 128) and mask.max() < 12
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['without_faces'] == [paths[2]] and summary['faces'] == 4


def test_predict_of_a_video_is_orsa_video(photo, one_model, tmp_path):
    clip = str(tmp_path / 'clip.avi')
    writer = cv2.VideoWriter(clip, cv2.VideoWriter_fourcc(*'MJPG'), 10,
                             photo.shape[1::-1])
    for _ in range(3):
        writer.write(photo)
    writer.release()
    cv2.imwrite(str(tmp_path / 'a.png'), photo)
    for name, paths in (('video', [clip]), ('predict',
                                            [clip,
                                             str(tmp_path / 'a.png')])):
        out = ['--out', str(tmp_path / name), '--quiet']
        assert cli.main([name, *paths, *out]) == command.OK
    tables = [(tmp_path / n / 'clip_faces.csv').read_text()
              for n in ('video', 'predict')]
    assert tables[0] == tables[1] and tables[0].count('\n') == 1 + 2 * 3
    assert (tmp_path / 'predict/clip_faces.mp4').stat().st_size > 1000
    # a photograph has the same columns
    with open(tmp_path / 'predict/predictions.csv') as file:
        assert file.readline() == tables[0].splitlines()[0] + '\n'


def test_predict_goes_on_after_what_fails(photo, one_model, tmp_path, capsys):
    good, bad = str(tmp_path / 'good.png'), str(tmp_path / 'bad.png')
    cv2.imwrite(good, photo)
    (tmp_path / 'bad.png').write_text('no image')
    out = tmp_path / 'out'
    arguments = ['--out', str(out), '--quiet', '--no-images']
    assert cli.main(['predict', bad, good, *arguments]) == command.SOME_FAILED
    printed, errors = capsys.readouterr()
    assert not printed and errors.startswith(f'orsa: {bad}: ')
    assert errors.count('\n') == 1
    summary = json.loads((out / 'summary.json').read_text())
    assert [e['file'] for e in summary['errors']] == [bad]
    assert summary['faces'] == 2
    assert sorted(p.name for p in out.iterdir()) == [
        'predictions.csv', 'predictions.jsonl', 'summary.json'
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
    assert code == command.USAGE
    assert reason in capsys.readouterr().err and not out.exists()


def test_numbers_out_of_range(capsys):
    for arguments in (['--min-confidence', '2'], ['--batch-size', '0']):
        with pytest.raises(SystemExit) as end:
            cli.main(['predict', 'a.jpg', *arguments])
        assert end.value.code == command.USAGE


def test_old_flags_work_with_a_warning(capsys):
    args = cli.build_parser('predict').parse_args(
        ['predict', 'a.jpg', '--max-covered', '.3', '--no-pictures'])
    assert args.max_occluded == .3 and args.no_images
    assert capsys.readouterr().err.count(' is now --') == 2


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
    assert code == command.SOME_FAILED
    printed, errors = capsys.readouterr()
    assert '2 faces in 6 frames' in printed and 'bad.mp4: it is no' in errors
    # a folder in place of a file, and a file in place of a folder
    assert cli.main(['video', str(tmp_path)]) == command.SOME_FAILED
    assert cli.main(['predict', str(clip), '--out',
                     str(clip)]) == command.USAGE
    errors = capsys.readouterr()[1]
    assert 'it is a folder, name the videos' in errors
    assert "clip.avi' is a file: name a folder" in errors
    with open(out / 'clip_faces.jsonl') as file:
        rows = [json.loads(line) for line in file]
    assert {(r['frame'], r['face'])
            for r in rows} == {(f, t)
                               for f in (0, 2, 4)
                               for t in (1, 2)}


def test_results_say_what_made_them(photo, tmp_path, caplog):
    cv2.imwrite(str(tmp_path / 'a.png'), photo)
    command_line = ['predict', str(tmp_path / 'a.png'), '--out']
    out = str(tmp_path / 'out')
    assert cli.main([*command_line, out]) == command.OK
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert summary['model'] == 'orsanet_face'
    assert summary['weights'] == file_hash(zoo_path('orsa://orsanet_face.pth'))
    assert summary['detector'].endswith('Detector')
    assert not caplog.records
    assert cli.main([*command_line, out]) == command.OK
    assert 'results of 1 images, to which these are added' in caplog.text
    # another detector, and another model of the same classes
    for other in (['--detector', 'cascade'], ['--backend', 'pytorch']):
        code = cli.main([*command_line, out, *other])
        assert (code == command.OK) == (other[0] == '--backend')


def test_wrong_flags_show_the_usage_of_the_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(['predict', 'a.jpg', '--ouput', 'x'])
    assert end.value.code == command.USAGE
    error = capsys.readouterr().err
    assert 'usage: orsa predict' in error and '--ouput x' in error


def test_a_home_and_names_with_dollars(photo, one_model, tmp_path,
                                       monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ('price_$a_$b.png', 'second.png'):
        cv2.imwrite(name, photo)
        # which the shell leaves as it is
        assert cli.main(['predict', name, '--out=~/home', '--cards']) == 0
    with open(tmp_path / 'home/predictions.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [r['file']
            for r in rows] == ['price_$a_$b.png'] * 2 + ['second.png'] * 2
    assert not (tmp_path / '~').exists()


def test_what_a_video_does_not_have_is_said(photo, one_model, tmp_path, caplog,
                                            capsys):
    folder = tmp_path / 'photos'
    folder.mkdir()
    writer = cv2.VideoWriter(
        str(folder / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10,
        photo.shape[1::-1])
    writer.write(photo)
    writer.release()
    cv2.imwrite(str(folder / 'a.png'), photo)
    out = ['--out', str(tmp_path / 'out')]
    assert cli.main(['predict', str(folder), *out]) == command.OK
    assert 'videos are skipped, 1 of them' in caplog.text
    assert 'photos/clip.avi' in caplog.text
    clip = str(folder / 'clip.avi')
    assert cli.main(['predict', clip, *out, '--embeddings']) == command.OK
    assert '--embeddings does nothing' in capsys.readouterr().err


def test_webcam_again(photo, one_model, tmp_path, monkeypatch, capsys):
    from orsa.faces import video_files

    class Camera:
        count = 0

        def isOpened(self):
            return True

        def get(self, _):
            return 0

        def read(self):
            self.count += 1
            return self.count < 4, photo

        def release(self):
            pass

    monkeypatch.setattr(video_files.cv2, 'VideoCapture',
                        lambda source: Camera())
    for k in range(2):
        # it ends before its time
        assert cli.main([
            'webcam', '--no-window', '--seconds', '60', '--out',
            str(tmp_path)
        ]) == command.SOME_FAILED
        assert 'no more images' in capsys.readouterr().err
    assert (tmp_path / 'camera_faces.csv').is_file()
    assert (tmp_path / 'camera_2_faces.csv').is_file()


def test_webcam_that_is_not_there(one_model, capsys):
    assert cli.main(['webcam', '--no-window']) == command.USAGE
    code = cli.main(['webcam', '--camera', '97'])
    assert code == command.SOME_FAILED
    assert 'no camera 97' in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(['webcam', '--camera', '-3'])
    assert end.value.code == command.USAGE
    assert '-3 is not in 0 to 99' in capsys.readouterr().err


def test_models(capsys):
    assert cli.main(['models', '--configs']) == command.OK
    printed = capsys.readouterr().out
    assert 'orsanet_lite\n' in printed and '254 training faces' in printed
    assert 'orsa::orsanet_demo.py' in printed
    assert 'orsa::_base_' not in printed


def test_train_and_test_are_the_tools(monkeypatch, capsys):
    from orsa.apis import training
    from orsa.studies import suite_command
    seen = []
    monkeypatch.setattr(training, 'train', lambda args: seen.append(args))
    monkeypatch.setattr(suite_command, 'test', lambda args: seen.append(args))
    monkeypatch.setattr(suite_command, 'run_suite',
                        lambda args: seen.append(args))
    assert cli.main(['train', 'a.py', '--max-iters', '3',
                     '--amp']) == command.OK
    assert cli.main(['test', 'a.py', 'a.pth']) == command.OK
    assert cli.main(['test', 'a.py', 'b.pth',
                     '--occlusion-suite']) == command.OK
    assert seen[0].max_iters == 3 and seen[0].amp
    assert seen[1].checkpoint == 'a.pth' and not seen[1].occlusion_suite
    assert seen[2].checkpoint == 'b.pth' and seen[2].occlusion_suite
    monkeypatch.undo()
    assert cli.main(['train', 'nowhere.py']) == command.USAGE
    assert 'nowhere.py' in capsys.readouterr().err


def test_doctor(monkeypatch, capsys):
    assert cli.main(['doctor']) == command.OK
    printed = capsys.readouterr().out
    for name in ('torch', 'mmcv', 'cascade', 'orsanet_lite.pth'):
        assert f'ok      {name}' in printed
    # a required package is missing: the command to install it
    real = doctor.installed
    from orsa.utils import versions
    for module in (doctor, versions):
        monkeypatch.setattr(
            module, 'installed', lambda name: None
            if name == 'mmpretrain' else real(name))
    assert cli.main(['doctor']) == command.ENVIRONMENT
    printed = capsys.readouterr().out
    assert 'MISSING mmpretrain' in printed
    assert 'needed    mmpretrain: mmpretrain is missing: pip' in printed


def test_doctor_where_libraries_are_broken(tmp_path):
    for name, line in (('mmcv', 'raise AttributeError("old numpy")'),
                       ('torch', 'raise OSError("libcudart.so.12")')):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(line)
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run([sys.executable, '-m', 'orsa', 'doctor'],
                          env=dict(os.environ, PYTHONPATH=paths),
                          capture_output=True,
                          text=True)
    assert 'does not import: libcudart.so.12' in done.stdout, done.stderr
    assert 'What to do:' in done.stdout


def test_ctrl_c(monkeypatch, one_model, capsys):

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(orsa.apis, 'FERInferencer', stop)
    assert cli.main(['predict', 'a.jpg']) == command.INTERRUPTED


def test_a_second_run_adds(photo, one_model, tmp_path, capsys, caplog):
    """Twice into the folder of the photographs: nothing is lost, and drawings
    of orsa are not taken for photographs."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), photo)
    cv2.imwrite(str(folder / 'family_faces.jpg'),
                photo)  # not a drawing of orsa
    arguments = ['--out', str(folder), '--masks']
    before = {}
    for run in range(2):
        assert cli.main(['predict', str(folder), *arguments]) == command.OK
        printed = capsys.readouterr().out
        assert '4 faces in 2 images' in printed
        # that there is an earlier run, and its drawings
        assert len(caplog.records) == 2 * run
        for path, content in before.items():
            assert path.read_bytes() == content
        before = {
            path: path.read_bytes()
            for path in folder.iterdir() if path.suffix in ('.jpg', '.png')
        }
    assert '6 drawings and results of orsa are skipped' in caplog.text
    # two photographs, and their drawings and the masks of each run
    assert len(before) == 2 + 2 * (2 + 4)
    with open(folder / 'predictions.jsonl') as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == 8 and len({r['file'] for r in rows}) == 2
    assert rows[4]['files'][0] == 'a_2_faces.jpg'
    assert {n for r in rows for n in r['files']} == {p.name for p in before
                                                     } - {
        'a.png', 'family_faces.jpg'}  # yapf: disable
    summary = json.loads((folder / 'summary.json').read_text())
    assert summary['images'] == 4 and summary['faces'] == 8
    # patterns work as folders; a drawing named by itself is an error
    assert cli.main(['predict', str(folder / '*'), '--no-images', '--out',
                     str(tmp_path / 'b')]) == command.OK  # yapf: disable
    drawn = str(folder / 'a_faces.jpg')
    assert cli.main(['predict', drawn, '--out',
                     str(tmp_path / 'c')]) == command.SOME_FAILED
    assert 'it is a result of orsa' in capsys.readouterr().err
    # predictions with other settings do not go into the same file
    content = (folder / 'predictions.jsonl').read_bytes()
    assert cli.main([
        'predict', str(folder), *arguments, '--min-confidence', '.9'
    ]) == command.USAGE  # yapf: disable
    assert 'of another model, detector or calibration' in capsys.readouterr(
    ).err
    assert (folder / 'predictions.jsonl').read_bytes() == content


def test_two_runs_do_not_share_a_folder(photo, one_model, tmp_path, capsys):
    """While one writes, the other is refused."""
    path, out = tmp_path / 'a.png', tmp_path / 'out'
    cv2.imwrite(str(path), photo)
    with locked_folder(str(tmp_path)):
        assert cli.main(['predict', str(path), '--out',
                         str(tmp_path)]) == command.USAGE  # yapf: disable
    assert f"'{tmp_path}' is in use by process" in capsys.readouterr().err
    assert cli.main(['predict', str(path), '--out', str(out)]) == command.OK
    summary = json.loads((out / 'summary.json').read_text())
    summary['classes'].reverse()
    summary['calibration']['temperature'] = 9.
    (out / 'summary.json').write_text(json.dumps(summary))
    assert cli.main(['predict', str(path), '--out', str(out)]) == command.USAGE
    assert 'of another model, detector or calibration' in capsys.readouterr(
    ).err


def test_a_second_video_gets_a_number(photo, one_model, tmp_path):
    clip = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(
        str(clip), cv2.VideoWriter_fourcc(*'MJPG'), 10., photo.shape[1::-1])
    writer.write(photo)
    writer.release()
    for _ in range(2):
        assert cli.main(['video', str(clip), '--out', str(tmp_path),
                         '--quiet']) == command.OK  # yapf: disable
    assert sorted(p.name for p in tmp_path.glob('*.mp4')) == [
        'clip_2_faces.mp4', 'clip_faces.mp4'
    ]
    drawn = str(tmp_path / 'clip_faces.mp4')
    assert cli.main(['video', drawn, '--out', str(tmp_path)]) != command.OK
    assert not (tmp_path / 'clip_faces_faces.mp4').exists()


def test_predict_goes_on_when_its_output_is_closed(photo, one_model, tmp_path,
                                                   monkeypatch):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'{i}.png'), photo[:, i:])
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, 'w', buffering=1) as closed:
        monkeypatch.setattr(sys, 'stdout', closed)
        assert cli.main(
            ['predict',
             str(tmp_path), '--out',
             str(tmp_path / 'out')]) == command.OK
    with open(tmp_path / 'out/predictions.jsonl') as file:
        assert len(file.readlines()) == 6
    assert len(list((tmp_path / 'out').glob('*_faces.jpg'))) == 3


@pytest.mark.parametrize('buffering', [(), ('-u', )])
def test_a_script_whose_output_is_closed_succeeds(buffering):
    code = ('import sys\n'
            'from orsa.utils.command import run_script\n'
            'sys.stdin.read()\n'
            'run_script(lambda: [print(i) for i in range(9)] and 0)')
    with subprocess.Popen([sys.executable, *buffering, '-c', code],
                          stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as done:
        done.stdout.close()
        done.stdin.close()
        errors = done.stderr.read()
    assert done.returncode == command.OK and not errors


def test_a_refused_checkpoint_is_one_line(tmp_path, capsys, repo_root):
    """In every command and script, which all end in run_script."""
    bad = tmp_path / 'bad.pth'
    bad.write_text('no checkpoint')
    config = 'orsa::orsanet_demo.py'
    for words in (['predict', 'a.jpg', '--weights',
                   bad], ['video', 'a.mp4', '--weights', bad],
                  ['test', config, bad, '--work-dir', tmp_path], [
                      'train', config, '--work-dir', tmp_path,
                      '--no-persistent-workers', '--cfg-options',
                      f'load_from={bad}', 'train_dataloader.num_workers=0'
                  ]):
        assert cli.main([*map(str, words)]) == command.USAGE
        error, = capsys.readouterr().err.splitlines()
        assert error.startswith(f"orsa: '{bad}' ")
    scripts = [*(repo_root / 'tools').glob('*.py'),
               *(repo_root / 'tools').glob('*/*.py'),
               *(repo_root / 'demo').glob('*.py')]  # yapf: disable
    for script in scripts:
        if script.name != 'mutation_tests.py':  # takes none
            assert '    run_script(' in script.read_text(), script


def test_embeddings_of_a_second_run_are_added(tmp_path):
    path = str(tmp_path / 'embeddings.npz')
    rows = [('a', 1, [1, 2]), ('a', 2, [3, 4]), ('b', 1, [5, 6])]
    rows = [(*row[:2], np.float32(row[2])) for row in rows]
    for some in (rows[:2], rows[2:]):
        predicting._write_embeddings(some, path)
    with np.load(path) as found:
        assert found['files'].tolist() == ['a', 'a', 'b']
        assert found['faces'].tolist() == [1, 2, 1]
        assert found['embeddings'].tolist() == [[1, 2], [3, 4], [5, 6]]
