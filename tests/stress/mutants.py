# Copyright (c) orsa contributors. All rights reserved.
"""Mutation tests: does a test fail for a wrong line?

The mutations are cosmic-ray's. Its own runner gives every mutant a new process
and the same command; here a process that has imported PyTorch and the
OpenMMLab libraries is forked for each, and runs the tests of the mutated
module alone. What is mutated is a copy of the tree.
"""
import ast
import compileall
import difflib
import hashlib
import importlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import pytest
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name('survivors.json')
HELD = ('killed', 'timeout')
_HEAVY = ('mmpretrain.models', 'mmseg.models', 'mmpose.models', 'torchvision',
          'sklearn.metrics', 'scipy.stats', 'hypothesis')
_MEMORY = 16 * 2**30  # bytes of addresses: some mutants allocate all of it

# What is mutated, and the tests that have to fail, the quickest first
_EDGES = 'tests/test_datasets/test_transforms/test_transform_edges.py'
_LOSS_EDGES = 'tests/test_models/test_losses/test_loss_edges.py'
TESTS: Dict[str, Dict[str, Tuple[str, ...]]] = dict(
    losses={
        'orsa/models/losses/affinity_loss.py':
        (_LOSS_EDGES, 'tests/test_models/test_heads/test_dan_head.py'),
        'orsa/models/losses/composite_loss.py':
        ('tests/test_models/test_losses/test_composite_loss.py', ),
        'orsa/models/losses/dare_loss.py':
        (_LOSS_EDGES, 'tests/test_models/test_losses/test_dare_loss.py'),
        'orsa/models/losses/marginal_loss.py':
        ('tests/test_models/test_losses/test_marginal_loss.py', ),
        'orsa/models/losses/partition_loss.py':
        (_LOSS_EDGES, 'tests/test_models/test_heads/test_dan_head.py'),
    },
    metrics={
        'orsa/evaluation/metrics/calibration_error.py':
        ('tests/test_evaluation/test_fer_metric_edges.py', ),
        'orsa/evaluation/metrics/face_parsing_metric.py':
        ('tests/test_evaluation/test_parsing_metric.py', ),
        'orsa/evaluation/metrics/per_dataset_metric.py':
        ('tests/test_evaluation/test_parsing_metric.py', ),
        'orsa/evaluation/metrics/fer_metric.py':
        ('tests/test_evaluation/test_fer_metric_edges.py',
         'tests/test_evaluation/test_fer_metric.py'),
    },
    transforms={
        'orsa/datasets/transforms/as_pose_sample.py':
        (_EDGES, 'tests/test_datasets/test_prior_data.py'),
        'orsa/datasets/transforms/as_seg_sample.py':
        (_EDGES, 'tests/test_datasets/test_prior_data.py'),
        'orsa/datasets/transforms/draw_synthetic_face.py':
        (_EDGES, 'tests/test_datasets/test_synthetic_faces.py'),
        'orsa/datasets/transforms/encode_label_sets.py':
        ('tests/test_models/test_losses/test_marginal_loss.py',
         'tests/test_datasets/test_transforms/test_parse_landmarks.py'),
        'orsa/datasets/transforms/keep_image.py':
        ('tests/test_models/test_classifiers/test_consistency_classifier.py',
         ),
        'orsa/datasets/transforms/parse_landmarks.py':
        ('tests/test_datasets/test_transforms/test_parse_landmarks.py', ),
        'orsa/datasets/transforms/occlusion.py':
        (_EDGES, 'tests/test_datasets/test_occluders.py'),
        'orsa/datasets/transforms/load_cached_priors.py':
        ('tests/test_prepare/test_caching.py', ),
        'orsa/datasets/transforms/load_face.py':
        (_EDGES, 'tests/test_datasets/test_transforms/test_load_face.py'),
        'orsa/datasets/transforms/occlude_face.py':
        (_EDGES, 'tests/test_datasets/test_occlude_face.py',
         'tests/test_datasets/test_occluders.py'),
        'orsa/datasets/transforms/paste_occluder.py':
        (_EDGES, 'tests/test_datasets/test_prior_data.py'),
        'orsa/datasets/transforms/random_face_affine.py':
        (_EDGES,
         'tests/test_datasets/test_transforms/test_random_face_affine.py',
         'tests/test_datasets/test_transforms/test_parse_landmarks.py'),
        'orsa/datasets/transforms/random_occluder.py':
        (_EDGES, 'tests/test_datasets/test_occluders.py'),
    },
    samplers={
        'orsa/datasets/samplers/class_balanced_sampler.py':
        ('tests/test_datasets/test_samplers.py', ),
        'orsa/datasets/samplers/multi_source_sampler.py':
        ('tests/test_datasets/test_samplers.py', ),
    },
    SAM={
        'orsa/engine/optimizers/sam_optim_wrapper.py':
        ('tests/test_engine/test_sam_passes.py',
         'tests/test_engine/test_sam.py'),
        'orsa/engine/optimizers/bfloat16_optim_wrapper.py':
        ('tests/test_engine/test_bfloat16_optim_wrapper.py', ),
        'orsa/engine/loops/sam_loops.py': ('tests/test_engine/test_sam.py', ),
    },
    converters={
        'orsa/prepare/weights.py':
        ('tests/test_prepare/test_convert.py',
         'tests/test_models/test_heads/test_segface_head.py'),
        'orsa/prepare/convert.py':
        ('tests/test_prepare/test_converting.py',
         'tests/test_tools/test_model_converters.py'),
        'orsa/prepare/pack.py': ('tests/test_prepare/test_packing_edges.py',
                                 'tests/test_prepare/test_packing.py'),
    },
)
MODULES = {m: tests for group in TESTS.values() for m, tests in group.items()}


def _annotations(code: str) -> List[Tuple[tuple, tuple]]:
    """Where types are: to change one changes nothing, or stops the import."""
    found = []
    for node in ast.walk(ast.parse(code)):
        for name in ('annotation', 'returns'):
            hint = getattr(node, name, None)
            if hint is not None:
                found.append(((hint.lineno, hint.col_offset),
                              (hint.end_lineno, hint.end_col_offset)))
    return found


def mutations(module: str) -> Iterator[dict]:
    """Every mutation of a module: place, operator, which of its kind."""
    code = (ROOT / module).read_text(encoding='utf-8')
    types = _annotations(code)
    tree = get_ast(code)
    for name in sorted(plugins.operator_names()):
        kind = plugins.get_operator(name)
        if kind.arguments():
            continue  # these need a name of a variable
        operator = kind()
        places = (
            place for node in ast_nodes(tree)
            for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            if not any(a <= start < b for a, b in types):
                yield dict(
                    module=module,
                    place=tuple(start),
                    operator=name,
                    occurrence=occurrence)


def draw(count: int, seed: int, modules: Sequence[str]) -> List[dict]:
    """Draw mutants: a place first, then one of what can go wrong there.

    A place of which arithmetic could be made eleven things is drawn as often
    as one that is merely true or false. The order is that of hashes, so that
    a change of one line exchanges the mutants of that line alone.
    """

    def rank(*key) -> str:
        return hashlib.sha256(repr((seed, *key)).encode()).hexdigest()

    places = defaultdict(list)
    for module in modules:
        lines = (ROOT / module).read_text(encoding='utf-8').splitlines()
        for mutation in mutations(module):
            row, column = mutation['place']
            text = lines[row - 1]
            occurrence = lines[:row].count(text)
            places[module, text, occurrence, column].append(mutation)
    drawn = []
    for place in sorted(places, key=lambda place: rank(*place))[:count]:
        choices = enumerate(places[place])
        drawn.append(min(choices, key=lambda c: rank(*place, c[0]))[1])
    return drawn


def mutate(mutation: dict,
           root: Path = ROOT) -> Tuple[str, List[str], List[str]]:
    """The module's code with the mutation; lines that go, lines that come."""
    code = (root / mutation['module']).read_text(encoding='utf-8')
    operator = plugins.get_operator(mutation['operator'])()
    new = mutate_code(code, operator, mutation['occurrence'])
    changes = list(
        difflib.unified_diff(
            code.splitlines(), new.splitlines(), lineterm='', n=0))[2:]
    before = [line[1:].strip() for line in changes if line[0] == '-']
    after = [line[1:].strip() for line in changes if line[0] == '+']
    return new, before, after


class _FirstFailure:
    """A plugin of pytest that remembers which test noticed, and how."""

    def __init__(self):
        self.test, self.message = None, None

    def _note(self, report) -> None:
        if report.failed and self.test is None:
            self.test = report.nodeid
            text = str(report.longrepr).strip().splitlines()
            errors = [t[1:].strip() for t in text if t.startswith('E ')]
            self.message = (errors or text or [''])[0][:200]

    pytest_runtest_logreport = pytest_collectreport = _note


class Laboratory:
    """A copy of the tree and a process that is forked for each mutant."""

    def __init__(self, folder: Path):
        self.tree = folder / 'tree'
        self.log = folder / 'last_output.txt'
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(
            ROOT,
            self.tree,
            symlinks=True,
            ignore=shutil.ignore_patterns('.git', '.venv', 'work_dirs', 'data',
                                          'checkpoints', 'shared', 'build',
                                          'dist', '*.egg-info',
                                          '.pytest_cache', '*.pyc.*'))
        # What is compiled is known by the source's time and size: a mutant
        # and a mended file are newer, and nothing is stored of them.
        compileall.compile_dir(self.tree / 'orsa', quiet=2)
        os.environ.setdefault('ORSA_SHARED', str(ROOT.parent / 'shared'))
        os.environ.pop('ORSA_STRESS', None)
        os.environ['PYTHONPATH'] = str(self.tree)
        os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
        sys.dont_write_bytecode = True
        self._import()
        self._fork = multiprocessing.get_context('fork')
        self._time: Dict[tuple, float] = {}

    def _import(self) -> None:
        sys.path.insert(0, str(self.tree))
        compat = importlib.import_module('orsa.utils.compat')
        compat.setup_stack()
        for name in _HEAVY:
            importlib.import_module(name)
        assert Path(compat.__file__).is_relative_to(self.tree)
        for module in MODULES:
            name = module.removesuffix('.py').replace('/', '.')
            assert name not in sys.modules, f'{name} is loaded already'

    def _child(self, tests: Sequence[str], pipe) -> None:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        with open(self.log, 'w') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.chdir(self.tree)
        first = _FirstFailure()
        code = pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *tests],
                           plugins=[first])
        pipe.send((int(code), first.test, first.message))

    def run(self, tests: Sequence[str], timeout: float) -> dict:
        """Run tests on the tree as it is now.

        Returns:
            dict: ``outcome`` ('killed', 'survived' or 'timeout'),
            ``killed_by``, ``message``, ``seconds``.
        """
        begin = time.perf_counter()
        ours, theirs = self._fork.Pipe(duplex=False)
        process = self._fork.Process(target=self._child, args=(tests, theirs))
        process.start()
        theirs.close()
        outcome, test, message = 'killed', None, 'the process died'
        try:
            if not ours.poll(timeout):
                outcome, message = 'timeout', f'{timeout:.0f} s'
            else:
                code, test, message = ours.recv()
                outcome = 'survived' if code == 0 else 'killed'
        except EOFError:
            pass
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.join()
        return dict(
            outcome=outcome,
            killed_by=test,
            message=message,
            seconds=round(time.perf_counter() - begin, 1))

    def run_mutant(self, mutation: dict) -> dict:
        """Mutate the copy, run the module's tests, and restore the copy."""
        tests = MODULES[mutation['module']]
        if tests not in self._time:
            baseline = self.run(tests, 1800)
            if baseline['outcome'] != 'survived':
                raise RuntimeError(
                    f'{tests} fail without a mutant, see {self.log}: '
                    f"{baseline['killed_by']}: {baseline['message']}")
            self._time[tests] = baseline['seconds']
        path = self.tree / mutation['module']
        code = path.read_text(encoding='utf-8')
        new, before, after = mutate(mutation, self.tree)
        path.write_text(new, encoding='utf-8')
        try:
            result = self.run(tests, 30 + 8 * self._time[tests])
        finally:
            path.write_text(code, encoding='utf-8')
        return dict(before=before, after=after, **result)


def _digest(*names: str) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def _known(file: Path) -> Dict[tuple, dict]:
    if not file.exists():
        return {}
    rows = json.loads(file.read_text(encoding='utf-8'))['mutants']
    return {
        (r['module'], r['operator'], r['occurrence'], r['code']): r
        for r in rows if 'outcome' in r
    }


def explained() -> List[dict]:
    """The survivors that no test has to notice, each with its reason."""
    return json.loads(EXPLAINED.read_text(encoding='utf-8'))


def reason(row: dict) -> Optional[str]:
    """Why a mutant may survive, if that is known."""
    for entry in explained():
        if all(entry[k] == row[k] for k in ('module', 'before', 'after')):
            return entry['reason']
    return None


def run(
    count: int,
    seed: int,
    folder: Path,
    groups: Sequence[str] = tuple(TESTS),
    seconds: float = float('inf')
) -> List[dict]:
    """Draw mutants and run those that are not known from an earlier call.

    A result is stored as soon as it is there (``mutants_SEED.json``). It is
    computed again when the module has changed, or when a mutant has survived
    and its tests have changed.

    Args:
        count (int): How many to draw.
        seed (int): Of the draw.
        folder (Path): For the copy and the results.
        groups (Sequence[str]): Of :data:`TESTS`.
        seconds (float): Begin no mutant after so long.

    Returns:
        list[dict]: A row for each mutant that has been run.
    """
    folder = folder.resolve()  # tests work in folders of their own
    file = folder / f'mutants_{seed}.json'
    folder.mkdir(parents=True, exist_ok=True)
    known = _known(file)
    drawn = draw(count, seed, [m for g in groups for m in TESTS[g]])
    rows = []
    for row in drawn:
        row.update(
            code=_digest(row['module']),
            tests=_digest(*MODULES[row['module']]))
        old = known.get(
            (row['module'], row['operator'], row['occurrence'], row['code']))
        if old and (old['outcome'] in HELD or old['tests'] == row['tests']):
            row = old
        rows.append(row)
    todo = [row for row in rows if 'outcome' not in row]
    print(f'{len(rows)} mutants by seed {seed}, {len(todo)} to run')
    begin = time.monotonic()
    # those of one module together: a change of mind loses less
    todo.sort(key=lambda row: row['module'])
    if todo:
        laboratory = Laboratory(folder)
        dump_json = importlib.import_module('orsa.utils.fileio').dump_json
    for number, row in enumerate(todo, 1):
        if time.monotonic() - begin > seconds:
            break
        row.update(laboratory.run_mutant(row))
        print(
            f"{number}/{len(todo)} {row['module']}:{row['place'][0]} "
            f"{row['outcome']} in {row['seconds']} s: {row['before']} -> "
            f"{row['after']}",
            flush=True)
        dump_json(dict(seed=seed, mutants=rows), str(file))
    return [row for row in rows if 'outcome' in row]


def summary(rows: Sequence[dict]) -> str:
    """A table of groups in Markdown, and the survivors."""
    group_of = {m: group for group, modules in TESTS.items() for m in modules}
    counts = Counter()
    survivors = []
    for row in rows:
        why = reason(row)
        kind = 'killed' if row['outcome'] in HELD else (
            'explained' if why else 'survived')
        for name in (group_of[row['module']], 'all'):
            counts[name, kind] += 1
        if kind != 'killed':
            survivors.append(f"{kind}: {row['module']}:{row['place'][0]} "
                             f"{row['before']} -> {row['after']}")
    lines = [
        '| group | mutants | killed | ratio | explained | not explained |',
        '| --- | --: | --: | --: | --: | --: |'
    ]
    for name in (*TESTS, 'all'):
        numbers = [
            counts[name, k] for k in ('killed', 'explained', 'survived')
        ]
        if sum(numbers):
            lines.append(
                f'| {name} | {sum(numbers)} | {numbers[0]} | '
                f'{100 * numbers[0] / sum(numbers):.0f} % | {numbers[1]} | '
                f'{numbers[2]} |')
    return '\n'.join(lines + [''] + survivors)
