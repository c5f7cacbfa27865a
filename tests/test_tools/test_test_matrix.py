# Copyright (c) orsa contributors. All rights reserved.
"""Results of the version matrix are recorded, found again and tabulated."""
import subprocess
import sys
from importlib import metadata

import matrix_results
import pytest

TESTS = '''
import pytest
def test_a(): pass
def test_b(): assert 0
def test_c(): pytest.skip()
def test_d(): pass
'''
JUNIT = '''<testsuites><testsuite name="pytest" errors="{errors}" failures="0"
skipped="1" tests="6" time="7.4"></testsuite></testsuites>'''


@pytest.fixture
def results(tmp_path, capsys):
    """Calls tests/matrix_results.py: what it returns, what it prints."""

    def call(action, *args):
        code = getattr(matrix_results, action)(str(tmp_path / 'results.csv'),
                                               *args)
        return code, capsys.readouterr().out

    return call


@pytest.fixture
def junit(tmp_path):
    """Writes the file of a run of six tests, one of which is skipped."""

    def write(errors):
        path = tmp_path / f'{errors}.xml'
        path.write_text(JUNIT.format(errors=errors))
        return str(path)

    return write


def matrix(repo_root, *args):
    return subprocess.run(
        ['bash', str(repo_root / 'tools' / 'test_matrix.sh'), *args],
        capture_output=True,
        text=True)


def test_a_run_of_pytest_gets_its_line(tmp_path, results):
    (tmp_path / 'test_it.py').write_text(TESTS)
    subprocess.run([
        sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
        '--junitxml', 'it.xml', 'test_it.py'
    ],
                   cwd=tmp_path,
                   capture_output=True)
    failed, _ = results('record', str(tmp_path / 'it.xml'), 'pinned', 'abc',
                        '')
    assert failed
    header, _, line = results('table')[1].splitlines()
    cells = dict(
        zip(*([cell.strip() for cell in row.split('|')]
              for row in (header, line))))
    assert cells['row'] == 'pinned'
    assert cells['torch'] == metadata.version('torch')
    assert (cells['passed'], cells['failed'], cells['skipped']) == ('2', '1',
                                                                    '1')


def test_a_row_is_known_by_its_commit_and_arguments(results, junit):
    key = ('pinned', 'abc', '-k parity')
    assert results('has', *key)[0] == 1
    assert results('record', junit(0), *key)[0] == 0
    assert results('has', *key)[0] == 0
    for other in (('py312', 'abc', '-k parity'),
                  ('pinned', 'abd', '-k parity'), ('pinned', 'abc', '')):
        assert results('has', *other)[0] == 1


def test_the_last_run_of_a_row_is_shown(results, junit):
    for errors in (1, 0):
        results('record', junit(errors), 'pinned', 'abc', '')
    (line, ) = results('table')[1].splitlines()[2:]
    assert line.endswith('| 5 | 0 | 1 | 7 |')


def test_a_run_that_broke_off_is_no_success(tmp_path, results):
    assert results('record', str(tmp_path / 'none.xml'), 'pinned', 'abc',
                   '')[0] == 1
    assert '| no end |' in results('table')[1]


def test_rows_are_listed_with_what_hinders_them(repo_root):
    done = matrix(repo_root, '--list')
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines
            ] == ['pinned', 'compiled', 'oldest', 'py312', 'forks']
    for line in lines:
        assert line.split(': ')[-1]


def test_a_row_that_cannot_run_says_why(repo_root, tmp_path):
    # with nothing on PATH but what the script itself needs
    for name in ('dirname', 'df', 'awk', 'cut', 'bash'):
        found = subprocess.run(['which', name], capture_output=True, text=True)
        (tmp_path / name).symlink_to(found.stdout.strip())
    done = subprocess.run([
        str(tmp_path / 'bash'),
        str(repo_root / 'tools' / 'test_matrix.sh'), '--list'
    ],
                          env=dict(PATH=str(tmp_path)),
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert 'python3.12 is not on PATH' in done.stdout


def test_an_unknown_row(repo_root):
    done = matrix(repo_root, 'ancient')
    assert done.returncode == 1
    assert "no row 'ancient', only: pinned" in done.stderr
