# Copyright (c) orsa contributors. All rights reserved.
"""The commands of the pages run as they are written.

The blocks of a page follow each other in one folder, which looks like the
checkout and has small data of synthetic faces in place of the real ones. How a
command is made small is in ``tests/test_docs/doc_runs.py``. The
ordinary suite runs the pages that take seconds, the long form all of them.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_data
from doc_blocks import LINKED, PAGES, ROOT, WHOLE, blocks, words_of
from doc_runs import ready, reason_of, settings_of, small, small_configs

# in seconds; of others the ordinary suite parses the commands
QUICK = ('docs/inference.md', 'docs/tour.md', 'docs/training.md')
LONG = 'ORSA_STRESS' in os.environ
RUN = [page for page in PAGES if any(b.commands for b in blocks(page))]
LARGE, RESNET = 'configs/orsanet_rafdb.py', 'resnet18_lite_rafdb'

# Random weights, of a model that knows the seven classes.
SAVE = """
import sys, torch
from orsa.apis import build_model, load_config
from orsa.utils.classes import RAFDB_CLASSES
model = build_model(load_config({config!r}), pretrained=False)
torch.save(dict(state_dict=model.state_dict(),
                meta=dict(dataset_meta=dict(classes=RAFDB_CLASSES))), {path!r})
"""
# A camera that shows a film again and again, for a second.
FILM = """
import sys, cv2
opened = cv2.VideoCapture

class Camera:

    def __init__(self):
        self.film = opened('clip.mp4')

    def read(self):
        good, image = self.film.read()
        if not good:
            self.film = opened('clip.mp4')
            good, image = self.film.read()
        return good, image

    def __getattr__(self, name):
        return getattr(self.film, name)

cv2.VideoCapture = lambda source, *more: (
    Camera() if source == 0 else opened(source, *more))
from orsa import cli
words = {words!r}
words[words.index('--seconds') + 1] = '1'
sys.exit(cli.main(words))
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Small data of every kind, written on first use."""
    root, made = tmp_path_factory.mktemp('data'), {}
    writers = {
        'raf-db': tiny_data.write_rafdb,
        'affectnet': tiny_data.write_affectnet,
        'ferplus': tiny_data.write_ferplus,
        'clone': tiny_data.write_clone
    }

    def get(name: str) -> Path:
        if name not in made:
            made[name] = root / name
            writers[name](made[name])
        return made[name]

    return get


class Checkout:
    """A folder that looks like the checkout, and what is run in it.

    Args:
        folder (Path): An empty one.
        page (str): Whose commands.
        server (CommandServer): It runs them.
        data (Callable): Gives small data by name.
    """

    def __init__(self, folder, page, server, data):
        self.folder, self.page = folder, page
        self._server, self._data = server, data
        self.settings = dict(ORSA_RAFDB='data/raf-db')
        self.text = '\n'.join(b.code for b in blocks(page))
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        (folder / 'data').mkdir()
        self._link()
        tiny_data.write_images(folder)
        for block in blocks(page):
            if block.is_python and '_base_' in block.code:
                (folder / 'mine.py').write_text(block.code)
        if 'data/mine' in self.text:
            classes = ['anger', 'happiness', 'neutral', 'sadness', 'surprise']
            tiny_data.write_own(folder / 'data/mine', classes)
        if 'data/pain' in self.text:
            tiny_data.write_pain(folder / 'data/pain')

    def _link(self):
        folders = {'data/raf-db': 'raf-db'}
        if 'CLONE' in self.text:
            folders['clone'] = 'clone'
        else:
            folders['data/press_faces'] = 'raf-db'
        for name in ('affectnet', 'ferplus'):
            if name in self.text:
                folders[f'data/{name}'] = name
        if 'FACES_OF_512' in self.text:
            folders['data/faces_512'] = 'raf-db'
        for name, kind in folders.items():
            (self.folder / name).symlink_to(self._data(kind))

    def run(self, what, until=None):
        done = self._server.run(what, self.folder, self.settings, until=until)
        fine = until in done.output if until else done.code == 0
        assert fine, f'{what}\n{done.output[-4000:]}'
        return done

    def weights(self, config, path):
        if not (self.folder / path).exists():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            self.run(SAVE.format(config=config, path=path))
        return path

    def command(self, command: str) -> None:
        """Run a line of the page, made small."""
        places = {}
        if LARGE in command and 'CHECKPOINT' in command:
            places['CHECKPOINT'] = self.weights(LARGE, 'large.pth')
        elif RESNET in command:
            config = f'configs/baselines/{RESNET}.py'
            places['CHECKPOINT'] = self.weights(config, 'resnet18.pth')
        words = ready(command, places, self.settings)
        for name, text in small_configs(words).items():
            (self.folder / name).write_text(text)
        words = small(words)
        if words[:2] == ['orsa', 'web']:
            self.run(words, until='The page is at')
        elif words[:2] == ['orsa', 'webcam']:
            self.run(FILM.format(words=words[1:]))
        else:
            self.run(words)


def _published(checkout, parity_dir):
    """Files with the names and shapes of those that were published."""
    import torch

    def save(path, source, prefix='', key='state_dict'):
        shapes = json.loads((parity_dir / f'{source}_keys.json').read_text())
        state = {
            k.removeprefix(prefix): torch.zeros(s)
            for k, s in shapes.items() if k.startswith(prefix)
        }
        torch.save({key: state}, checkout.folder / path)

    save('ir50.pth', 'small7', 'ir_back.')
    save('mobilefacenet_model_best.pth.tar', 'small7', 'face_landback.')
    save('model_299.pt', 'large8', 'face_segment.', 'state_dict_backbone')
    save('official.pth', 'small7', key='model_state_dict')


def _prepare_performance(checkout):
    checkout.run([
        'python', 'tools/dataset_converters/pack_images.py',
        'configs/orsanet_lite_rafdb.py', '--out', 'data/faces.lmdb'
    ])


def _prepare_web(checkout):
    checkout.weights('configs/baselines/posterv2_lite_rafdb.py',
                     'work_dirs/posterv2_lite_rafdb/epoch_20.pth')
    mine = checkout.folder / 'work_dirs/mine/epoch_20.pth'
    mine.parent.mkdir(parents=True)
    mine.symlink_to(ROOT / 'orsa/zoo/orsanet_lite.pth')


def _prepare_occlusion(checkout):
    for name in 'ab':
        words = ['CONFIG', 'CHECKPOINT', '--work-dir', f'work_dirs/{name}']
        checkout.command(' '.join(
            ['python tools/test.py', *words, '--occlusion-suite']))
    checkout.command(' '.join(['python tools/test.py', *words]))


PREPARE = {
    'docs/occlusion_benchmark.md': _prepare_occlusion,
    'docs/performance.md': _prepare_performance,
    'docs/web.md': _prepare_web,
}


def _check(page: str, folder: Path) -> None:
    """What the page says that is there afterwards."""
    if page == 'docs/tour.md':
        lines = (folder / 'results/predictions.jsonl').read_text()
        assert len(lines.splitlines()) == 1 and json.loads(lines)['scores']
        assert (folder / 'results/photo_faces.jpg').is_file()
        assert (folder / 'work_dirs/tour/last_checkpoint').is_file()
        metrics = folder / 'work_dirs/tour_test/metrics.json'
        assert json.loads(metrics.read_text())['num_samples'] == 64
        assert metrics.with_name('confusion.png').is_file()
    if page == 'docs/training.md':
        assert (folder / 'work_dirs/mine/last_checkpoint').is_file()
        report = folder / 'work_dirs/mine/validation.json'
        assert json.loads(report.read_text())
        assert list((folder / 'work_dirs/verify_imagefolder').glob('*.png'))
    if page == 'docs/analysis.md':
        assert list((folder / 'work_dirs/mine').glob('*/vis_data/vis_image/*'))
        assert list((folder / 'work_dirs/mine').glob('*/vis_data/events*'))
    if page == 'docs/inference.md':
        rows = (folder / 'results/clip_faces.csv').read_text().splitlines()
        assert len(rows) > 1
        assert (folder / 'results/camera_faces.mp4').is_file()


def _pip(words) -> None:
    """What is to be installed is there in a fitting version."""
    subprocess.run([
        sys.executable, '-m', 'pip', 'install', '--no-index', '--dry-run',
        *words[2:]
    ],
                   check=True,
                   capture_output=True,
                   cwd=ROOT)


def _run_block(block, checkout, long: bool) -> tuple:
    """Run a block's commands, and return how many, and why others not."""
    count, reasons = 0, set()
    for command in block.commands:
        checkout.settings.update(
            settings_of(command) if command.startswith('export') else {})
        words = words_of(command)
        if words[0] == 'export':
            continue
        if reason_of(command):
            reasons.add(reason_of(command))
        elif words[:2] == ['pip', 'install']:
            _pip(words)
            count += 1
        elif long or not re.search('configs/orsanet_(rafdb|affect)', command):
            before = dict(checkout.settings)
            checkout.settings.update(settings_of(command))
            checkout.command(command)
            checkout.settings = before
            count += 1
    return count, reasons


@pytest.mark.parametrize('page', RUN if LONG else QUICK)
def test_page(page, tmp_path, commands, data, request, tried):
    checkout = Checkout(tmp_path, page, commands, data)
    if page == 'docs/checkpoints.md':
        _published(checkout, request.getfixturevalue('parity_dir'))
    PREPARE.get(page, lambda _: None)(checkout)
    for block in blocks(page):
        tried['code blocks of the pages'] += 1
        if block.reason:
            tried[f'- not run: {block.reason}'] += 1
        elif block.is_python and page in WHOLE:
            checkout.run(block.code)
            tried['- Python after commands, run'] += 1
        elif block.is_python:
            tried['- Python and configs, executed by tests/test_docs'] += 1
        elif not block.commands:
            tried['- images of folders, messages'] += 1
        else:
            count, reasons = _run_block(block, checkout, LONG)
            tried['- commands, run' if count else '- not run'] += 1
            tried['  commands in them'] += count
            for reason in reasons:
                tried[f'  not run: {reason}'] += 1
    _check(page, tmp_path)
    # some are half a gigabyte; other folders are links to the checkout
    for path in (*tmp_path.glob('*.pt*'),
                 *(tmp_path / 'work_dirs').rglob('*.pth')):
        path.unlink()
