# Copyright (c) orsa contributors. All rights reserved.
"""Short and long forms of the stress tests.

They have a short form, which the ordinary suite runs, and a long one:
``bash tools/run_tests.sh --stress``.
"""
import os
import sys
from pathlib import Path

import pytest

LONG = 'ORSA_STRESS' in os.environ
for _room in ('test_engine', 'test_docs'):
    sys.path.append(str(Path(__file__).parents[1] / _room))


@pytest.fixture(scope='session')
def amount():
    """Choose between a number of the ordinary suite and the long one."""
    return lambda short, long: long if LONG else short
