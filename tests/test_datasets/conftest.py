# Copyright (c) orsa contributors. All rights reserved.
import gc

import pytest


@pytest.fixture(scope='session', autouse=True)
def _freeze():
    """MMEngine collects garbage for each data set: half a second, unless what
    was imported is out of the way."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def logged(monkeypatch):
    """What the data sets log."""
    lines = []
    monkeypatch.setattr('orsa.datasets.image_dataset.print_log',
                        lambda message, **kwargs: lines.append(message))
    return lines
