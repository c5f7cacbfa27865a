# Copyright (c) orsa contributors. All rights reserved.
"""The lock file is complete, and the files of requirements agree."""
import re
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from orsa.utils.versions import PRIORS, PYTORCH, REQUIRED

LISTS = ('build', 'runtime', 'train', 'analysis', 'priors', 'tests',
         'optional', 'deploy', 'docs', 'web')
HASHED = ('lock', 'apart', 'mmcv')


@pytest.fixture(scope='module')
def folder(repo_root):
    return repo_root / 'requirements'


def lines_of(path) -> list:
    """Its entries as lines, without comments."""
    text = path.read_text().replace('\\\n', ' ')
    lines = [
        re.sub(r'(^|\s)#.*', '', line).strip() for line in text.splitlines()
    ]
    return [line for line in lines if line]


def asked(path) -> list:
    return [Requirement(line) for line in lines_of(path)]


def locked(path) -> dict:
    """Name to version of a file with hashes."""
    found = {}
    for line in lines_of(path):
        requirement = Requirement(line.split('--hash')[0])
        (exact, ) = requirement.specifier
        assert exact.operator == '==', line
        name = canonicalize_name(requirement.name)
        assert name not in found, f'{name} is locked twice'
        found[name] = Version(exact.version)
    return found


@pytest.mark.parametrize('name', HASHED)
def test_every_entry_has_a_hash(folder, name):
    lines = lines_of(folder / f'{name}.txt')
    assert lines
    for line in lines:
        # and nothing else: no index, no link, no option
        assert re.fullmatch(
            r'[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ;.+?)?'
            r'(\s+--hash=sha256:[0-9a-f]{64})+', line), line


@pytest.mark.parametrize('name', LISTS)
def test_the_lock_has_what_is_asked_for(folder, name):
    versions = locked(folder / 'lock.txt')
    for requirement in asked(folder / f'{name}.txt'):
        key = canonicalize_name(requirement.name)
        if key in ('torch', 'torchvision'):
            continue
        assert requirement.specifier.contains(versions[key]), requirement


def test_the_lock_is_made_from_all_lists(folder):
    command = (folder / 'lock.txt').read_text().splitlines()[1]
    for name in LISTS:
        assert f'requirements/{name}.txt' in command


def test_the_lock_has_the_extras_that_are_asked_for(folder):
    """pip 23.2, which comes with Python 3.11, takes ``x[y]`` for another
    package than ``x``: as soon as a newer version is out it finds that one,
    unlocked, and stops."""
    entries = [
        Requirement(line.split('--hash')[0])
        for line in lines_of(folder / 'lock.txt')
    ]
    extras = {canonicalize_name(r.name): r.extras for r in entries}
    found = 0
    for name in extras:
        try:
            needs = distribution(name).requires or ()
        except PackageNotFoundError:  # of another system, or not installed
            continue
        for need in map(Requirement, needs):
            key = canonicalize_name(need.name)
            if need.marker and not need.marker.evaluate(dict(extra='')):
                continue
            if need.extras and key in extras:
                assert need.extras <= extras[key], f'{name} needs {need}'
                found += 1
    assert found  # pytest-cov's coverage[toml]


def test_torch_is_not_locked_but_pinned_within_the_range(folder):
    versions = locked(folder / 'torch.txt')
    assert not set(versions) & set(locked(folder / 'lock.txt'))
    ranges = {r.name: r.specifier for r in asked(folder / 'train.txt')}
    for name in ('torch', 'torchvision'):
        assert ranges[name].contains(versions[name])


def test_one_line_says_the_same_bounds(folder):
    ranges = {
        canonicalize_name(r.name): r.specifier
        for name in ('runtime', 'train', 'priors')
        for r in asked(folder / f'{name}.txt')
    }
    for name, low, high in REQUIRED + PYTORCH + PRIORS:
        if name == 'mmpose':  # pip cannot be told, see apart.txt
            assert Version(low) <= locked(folder / 'apart.txt')[name]
            continue
        expected = f'>={low}' + (f',<{high}' if high else '')
        assert ranges[name] == Requirement(f'x{expected}').specifier, name


@pytest.mark.parametrize('name', LISTS)
def test_an_upper_bound_has_its_reason(folder, name):
    lines = (folder / f'{name}.txt').read_text().splitlines()
    for before, line in zip([''] + lines, lines):
        if '<' in line.split('#')[0]:
            assert '#' in line or before.startswith('#'), line
