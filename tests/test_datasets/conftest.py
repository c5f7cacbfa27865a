# Copyright (c) orsa contributors. All rights reserved.
"""What the tests of datasets share."""
import pytest


@pytest.fixture
def logged(monkeypatch):
    """What the datasets log."""
    lines = []
    monkeypatch.setattr('orsa.datasets.image_dataset.print_log',
                        lambda message, **kwargs: lines.append(message))
    return lines
