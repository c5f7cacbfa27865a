# Copyright (c) orsa contributors. All rights reserved.
"""How a command of the pages is run in seconds.

It stays the documented command: placeholders get a value (CONFIG,
PATH/OF/faces), options are added and numbers lowered to make it small.
"""
import re
import shlex
from typing import Dict, List, Optional

from doc_blocks import words_of

_NOT_RUN = (
    # what, why it is not run here
    (r'bash tools/run_tests\.sh', 'it runs these tests'),
    (r'bash tools/quickstart\.sh',
     'trains for minutes, by the commands of the tour'),
    (r'mkdocs build', 'run by tests/test_docs/test_site.py'),
    (r'orsa webcam$', 'needs a camera and a screen'),
    (r'bash tools/setup_env\.sh', 'made the environment of these tests'),
    (r'source ', 'the environment is active'),
)

# Values of placeholders.
PLACES = {
    '/path/to/raf-db': 'data/raf-db',
    '/path/to/affectnet': 'data/affectnet',
    '/path/to/rafdb_occlusion_list.txt': 'data/raf-db/occlusion_test.txt',
    'PATH/OF/press_faces': 'data/press_faces',
    'PATH/OF/faces': 'data/press_faces',
    'FACES_OF_512': 'data/faces_512',
    'CLONE': 'clone',
    'TEXT': 'some faces',
    'CHECKPOINT_OF_IT': 'orsa/zoo/orsanet_lite.pth',
    'CONFIG': 'configs/orsanet_lite_rafdb.py',
    'CHECKPOINT': 'orsa/zoo/orsanet_lite.pth',
    'FILE': 'orsa/zoo/orsanet_lite.pth',
    'WORK_DIR/predictions.json': 'work_dirs/subgroups/predictions.json',
    'DIR': 'work_dirs/dir',
    # of docs/finetuning.md, whose training is cut short
    'work_dirs/mine/epoch_5.pth': 'work_dirs/mine/epoch_1.pth',
    'KEY=VALUE': 'randomness.seed=1',
}
_FEW = [
    f'{split}_dataloader.{setting}' for split in ('train', 'val', 'test')
    for setting in ('batch_size=2', 'num_workers=0',
                    'persistent_workers=False')
]
_LARGE = re.compile(r'configs/orsanet_(rafdb|affectnet[78])\.py')


def reason_of(command: str) -> Optional[str]:
    """Why this command is not run, if it is not."""
    return next(
        (why for what, why in _NOT_RUN if re.match(what, command.strip())),
        None)


def settings_of(command: str) -> Dict[str, str]:
    """What it puts into the environment: NAME=VALUE before it, or export."""
    words = shlex.split(command, comments=True)
    found = {}
    for word in words[1:] if words[0] == 'export' else words:
        if not re.match(r'[A-Z][A-Z_0-9]*=', word):
            break
        name, value = word.split('=', 1)
        found[name] = PLACES.get(value, value)
    return found


def _with_options(words: List[str], options: List[str]) -> List[str]:
    """Options of the config besides those that are there."""
    if '--cfg-options' in words:
        place = words.index('--cfg-options') + 1
        return [*words[:place], *options, *words[place:]]
    return [*words, '--cfg-options', *options]


def _set(words: List[str], option: str, *values: str) -> List[str]:
    """An option with one value, or several, in place of what it had."""
    words = list(words)
    if option in words:
        start = words.index(option)
        stop = start + 1
        while stop < len(words) and not words[stop].startswith('--'):
            stop += 1
        del words[start:stop]
    return [*words, option, *values]


def _train(words: List[str]) -> List[str]:
    if '--dry-run' not in words and '--max-iters' not in words:
        words = [*words, '--max-iters', '1']
    options = list(_FEW)
    if any(map(_LARGE.fullmatch, words)):
        # the published files are nowhere to be had by a program, and the
        # weights are half a gigabyte
        options += [
            'model.backbone.allow_untrained=True',
            'default_hooks.checkpoint=None'
        ]
        words = [*words, '--no-validate']
    if 'configs/baselines/dan_rafdb.py' in words:
        options.append('model.backbone.init_cfg=None')
    return _with_options(words, options)


def _test(words: List[str]) -> List[str]:
    words = [re.sub(r'(num_samples)=\d+', r'\1=14', w) for w in words]
    if '--occlusion-suite' in words:
        words = _set(words, '--kinds', 'hand', 'mask')
        words = _set(words, '--severities', '1')
    elif '--max-samples' not in words:
        words = [*words, '--max-samples', '14']
    return _with_options(words, _FEW[-2:])


def _ablate(words: List[str]) -> List[str]:
    study = 'drawn' if any('drawn' in w for w in words) else 'faces'
    words = [w for w in words if not w.endswith('.py') or 'tools/' in w]
    words = [words[0], words[1], f'small_{study}.py', *words[2:]]
    words = _set(words, '--seeds', '0')
    words = [*words, '--work-dir', f'work_dirs/small_{study}']
    return [*words, '--folds', '0'] if '--cv' in words else words


def _benchmark(words: List[str]) -> List[str]:
    configs = [w for w in words[2:] if w.endswith('.py')]
    names = words[words.index('--names') + 1:][:len(configs)]
    # the first and the last of the models, with a small schedule
    words = [*words[:2], 'small_first.py', 'small_last.py']
    words += ['--names', names[0], names[-1], '--seeds', '1']
    return [*words, '--severities', '--last', '1']


_STUDY = """
_base_ = 'orsa::ablations/{name}.py'
variants = dict(
    _delete_=True,
    plain=dict(config='small_plain.py', title='image'),
    whole=dict(config='small_whole.py', title='complete'))
num_folds = 2
priors = dict(_delete_=True)
severities = [1]
"""
_DRAWN = """
data = dict(train=dict(num_samples=28), test=dict(num_samples=14))
num_folds = 0
num_occluded = 7
"""
_FIRST_EPOCH = """
_base_ = '{name}'
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(batch_size=8)
"""


def small_configs(words: List[str]) -> Dict[str, str]:
    """Files that :func:`small` puts into a command, by their names."""
    if 'tools/ablate.py' in words:
        return {
            'small_faces.py': _STUDY.format(name='faces'),
            'small_drawn.py': _STUDY.format(name='drawn') + _DRAWN,
            **{
                f'small_{n}.py':
                _FIRST_EPOCH.format(name=f'configs/ablations/{n}.py')
                for n in ('plain', 'whole')
            }
        }
    if 'tools/benchmark.py' in words:
        configs = [w for w in words[2:] if w.endswith('.py')]
        return {
            'small_first.py': _FIRST_EPOCH.format(name=configs[0]),
            'small_last.py': _FIRST_EPOCH.format(name=configs[-1])
        }
    return {}


def small(words: List[str]) -> List[str]:
    """The same, made small."""
    if words[:2] in (['orsa', 'train'], ['python', 'tools/train.py']):
        return _train(words)
    if words[:2] in (['orsa', 'test'], ['python', 'tools/test.py']):
        return _test(words)
    if words[:2] == ['orsa', 'occlude']:
        words = _set(words, '--kinds', 'hand', 'mask')
        words = _set(words, '--severities', '1')
        return [*words, '--max-samples', '14']
    if words[:2] == ['orsa', 'web']:
        return [*words, '--port', '0']
    script = words[1]
    if script == 'tools/ablate.py':
        return _ablate(words)
    if script == 'tools/benchmark.py':
        return _benchmark(words)
    if script == 'tools/calibrate.py':
        # not beside the weights that ship
        return _with_options(
            _set(words, '--out', 'calibration.json'), _FEW[-2:])
    if script == 'tools/cache_priors.py':
        # a synopsis: what follows takes the priors' own files
        place = words.index('--checkpoint')
        return _set(words[:place] + words[place + 2:], '--split', 'test')
    if script == 'tools/deployment/export.py':
        if any(map(_LARGE.fullmatch, words)):
            words = [
                'configs/orsanet_lite_rafdb.py' if _LARGE.fullmatch(w) else w
                for w in words
            ]
        words = _set(words, '--check-samples', '16')
        return _set(words, '--calibration-samples', '96')
    if script.startswith('tools/benchmarks/'):
        words = [
            'configs/orsanet_lite_rafdb.py'
            if _LARGE.fullmatch(w) and 'export' in script else w for w in words
        ]
        words = _set(words, '--rounds', '1')
        words = _set(words, '--warmup', '0')
        if script.endswith('export.py'):
            words = _set(words, '--variants', 'eager', 'ONNX fp32')
        if script.endswith('data.py'):
            words = _set(words, '--count', '4')
    return words


def ready(command: str, places: Dict[str, str],
          settings: Dict[str, str]) -> List[str]:
    """Its words as they are run.

    Args:
        command (str): A line of a page.
        places (dict): What stands for something on this page.
        settings (dict): The environment.
    """
    places = {**PLACES, **places}
    words = []
    for word in words_of(command):
        name = word.removeprefix('$')
        word = settings[name] if word != name else word
        head, equals, value = word.partition('=')
        if equals and value in places:
            word = f'{head}={places[value]}'
        words.append(places.get(word, word))
    return words
