# Copyright (c) orsa contributors. All rights reserved.
"""A sample of mutants; ``tools/mutation_tests.py`` runs 300 of them."""
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('cosmic_ray')
import mutants  # noqa: E402

# minimal ratio killed of those not in survivors.json, which no test can notice
LEAST = .85


def run(repo_root, folder, *arguments):
    done = subprocess.run([
        sys.executable,
        str(repo_root / 'tools/mutation_tests.py'), '--work-dir',
        str(folder), *map(str, arguments)
    ],
                          cwd=folder,
                          env=dict(os.environ, OMP_NUM_THREADS='1'),
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(folder, seed):
    rows = json.loads((folder / f'mutants_{seed}.json').read_text())['mutants']
    return [row for row in rows if 'outcome' in row]


def test_a_sample_is_killed(repo_root, tmp_path, amount, tried):
    """Of another seed than the full run, which the tests were written by.

    The long form starts no mutant after six minutes.
    """
    count, seed, groups = amount((1, 0, ['losses']),
                                 (40, 1, list(mutants.TESTS)))
    printed = run(repo_root, tmp_path, '--count', count, '--seed', seed,
                  '--groups', *groups, '--seconds', 360)
    rows = read(tmp_path, seed)
    killed = [row for row in rows if row['outcome'] in mutants.HELD]
    tried['mutants'] += len(rows)
    tried['mutants killed'] += len(killed)
    excused = [
        row for row in rows if row not in killed and mutants.reason(row)
    ]
    tried['mutants that change nothing'] += len(excused)
    assert len(killed) >= LEAST * (len(rows) - len(excused)) > 0, printed
    # noticed by a test, and not because the tests could not run
    for row in killed:
        assert row['killed_by'] or row['message'], row
    # what is known is not run again
    if len(rows) == count:
        again = run(repo_root, tmp_path, '--count', count, '--seed', seed,
                    '--groups', *groups)
        assert f'{count} mutants by seed {seed}, 0 to run' in again
        assert read(tmp_path, seed) == rows
    # the tree itself is as it was
    for row in rows:
        assert row['code'] == mutants._digest(row['module'])


def test_draws_are_by_seed_and_change_one_place():
    modules = [
        f'orsa/models/losses/{name}_loss.py'
        for name in ('affinity', 'partition')
    ]
    drawn = mutants.draw(20, 0, modules)
    assert drawn == mutants.draw(20, 0, modules[::-1])
    assert drawn[:10] == mutants.draw(10, 0, modules)
    assert drawn != mutants.draw(20, 1, modules)
    places = {(d['module'], d['place']) for d in drawn}
    assert len(places) == 20
    for mutation in drawn:
        new, before, after = mutants.mutate(mutation)
        old = (mutants.ROOT / mutation['module']).read_text()
        compile(new, mutation['module'], 'exec')
        assert new != old and len(before) <= 3 and len(after) <= len(before)


def test_types_are_not_mutated():
    module = 'orsa/datasets/samplers/class_balanced_sampler.py'
    code = (mutants.ROOT / module).read_text().splitlines()
    for mutation in mutants.mutations(module):
        row, column = mutation['place']
        before = code[row - 1][:column]
        # `round_up: bool = True` has its True mutated, and not its bool
        assert not before.rstrip().endswith(
            (':', '->')) or '{' in before or ('[' in before), (row,
                                                               code[row - 1])


def test_the_tests_of_every_module_are_there():
    for module, tests in mutants.MODULES.items():
        assert (mutants.ROOT / module).is_file(), module
        assert tests and all((mutants.ROOT / t).is_file() for t in tests)
    packages = ('models/losses', 'evaluation/metrics', 'datasets/transforms',
                'datasets/samplers', 'engine/optimizers')
    for package in packages:
        for path in (mutants.ROOT / 'orsa' / package).glob('[!_]*.py'):
            assert f'orsa/{package}/{path.name}' in mutants.MODULES


@pytest.mark.parametrize('entry', mutants.explained())
def test_what_survives_is_still_in_the_code(entry):
    """An explanation of a line that has gone goes, too."""
    code = (mutants.ROOT / entry['module']).read_text().splitlines()
    lines = [line.strip() for line in code]
    assert all(line in lines for line in entry['before'])
    assert len(entry['reason']) > 20


def test_summary_counts_by_part(monkeypatch):
    monkeypatch.setattr(
        mutants, 'explained', lambda: [
            dict(
                module='orsa/prepare/weights.py',
                before=['a'],
                after=['b'],
                reason='it is the same')
        ])
    row = dict(place=(1, 0), before=['a'], after=['b'])
    convert = dict(row, module='orsa/prepare/weights.py')
    loss = dict(row, module='orsa/models/losses/dare_loss.py')
    text = mutants.summary([
        dict(convert, outcome='survived'),
        dict(convert, outcome='killed'),
        dict(loss, outcome='survived'),
        dict(loss, outcome='timeout')
    ])
    assert '| losses | 2 | 1 | 50 % | 0 | 1 |' in text
    assert '| converters | 2 | 1 | 50 % | 1 | 0 |' in text
    assert '| all | 4 | 2 | 50 % | 1 | 1 |' in text
    assert 'survived: orsa/models/losses/dare_loss.py:1' in text
