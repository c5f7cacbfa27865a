# Copyright (c) orsa contributors. All rights reserved.
"""Missing and incompatible packages are reported with their remedy."""
from importlib import metadata

import pytest

from orsa.utils import versions


@pytest.fixture
def stack(monkeypatch):
    """Pretends that these packages, and no others, are installed."""

    def pretend(**packages):

        def version(name):
            if name not in packages:
                raise metadata.PackageNotFoundError(name)
            return packages[name]

        monkeypatch.setattr(versions.metadata, 'version', version)

    return pretend


WANTED = (('torch', '2.0', None), ('mmengine', '0.10.4', '1.0'))
GOOD = dict(torch='2.5.1', mmengine='0.10.7')


def test_one_line_for_every_problem(stack):
    stack(**GOOD, **{'mmcv-lite': '2.1.0'})
    assert versions.problems(WANTED) == []
    versions.check_environment(WANTED)
    stack(torch='1.13.1', mmengine='1.0')
    assert versions.problems(WANTED) == [
        'torch 1.13.1 does not work: pip install "torch>=2.0"',
        'mmengine 1.0 does not work: pip install "mmengine>=0.10.4,<1.0"',
        'mmcv is missing: pip install mmcv-lite==2.1.0'
    ]
    stack(mmcv='2.1.0')
    assert versions.problems(WANTED) == [
        'torch is missing: pip install "torch>=2.0"',
        'mmengine is missing: pip install "mmengine>=0.10.4,<1.0"'
    ]
    with pytest.raises(versions.EnvironmentProblem, match='^torch'):
        versions.check_environment(WANTED)


def test_versions_are_compared_as_numbers(stack):
    for version, good in (('0.10.4', True), ('0.10.10', True),
                          ('0.9.1', False), ('0.10.4rc1', False), ('0.11',
                                                                   True)):
        stack(mmengine=version, mmcv='2.1.0')
        assert (versions.problems(WANTED[1:]) == []) == good, version


def test_an_mmcv_that_mmseg_refuses(stack):
    stack(mmcv='2.2.0')
    assert versions.problems(()) == []
    stack(mmcv='2.2.0', mmsegmentation='1.2.2')
    line, = versions.problems(())
    assert 'mmcv 2.2.0 is refused by mmsegmentation' in line
