# Copyright (c) orsa contributors. All rights reserved.
import pytest


@pytest.fixture(scope='session', autouse=True)
def _plain_configs():
    """MMEngine lays the config out for its log, longer than these train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.config.FormatCode',
                      lambda text, **kwargs: (text, True))
        yield
