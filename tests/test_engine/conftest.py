# Copyright (c) orsa contributors. All rights reserved.
"""What the tests of the engine share."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture(autouse=True)
def _loggers_of_its_own():
    """MMEngine names loggers by the second; of two trainings within one the
    second would log into the first one's file."""
    yield
    MMLogger._instance_dict.clear()
