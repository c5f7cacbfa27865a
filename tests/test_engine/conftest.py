# Copyright (c) orsa contributors. All rights reserved.
"""What the tests of the engine share."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture(scope='session', autouse=True)
def _plain_configs():
    """MMEngine lays the config out for its log, longer than these train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.config.FormatCode',
                      lambda text, **kwargs: (text, True))
        yield


@pytest.fixture(autouse=True)
def _loggers_of_its_own():
    """MMEngine names loggers by the second; of two trainings within one the
    second would log into the first one's file."""
    yield
    MMLogger._instance_dict.clear()
