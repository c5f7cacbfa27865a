# Copyright (c) orsa contributors. All rights reserved.
"""Addresses as checkpoints of parts."""
from http.client import IncompleteRead
from urllib.error import URLError

import pytest
import torch
import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.utils.pretrained import check_pretrained, load_pretrained, local_file

URL = 'https://example.invalid/models/part-1234.pth?download=1'


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path))
    return tmp_path / 'checkpoints'


def keep(hub):
    hub.mkdir()
    state = nn.Linear(2, 2).state_dict()
    torch.save(state, hub / 'part-1234.pth')
    return state


def test_local_file(hub, tmp_path):
    assert local_file(URL) is None
    keep(hub)
    assert local_file(URL) == str(hub / 'part-1234.pth')
    assert local_file('orsa://lite_parsing.pth').endswith('lite_parsing.pth')
    assert local_file('orsa://nothing.pth') is None
    assert local_file(str(tmp_path)) is None  # a folder


def test_an_address_is_asked_for_unless_it_may_be_missing(hub):
    assert check_pretrained(URL, 'part')
    assert not check_pretrained(URL, 'part', allow_untrained='quiet')
    with pytest.warns(
            UserWarning,
            match='PART IS UNTRAINED.*part-1234.*not '
            'been downloaded'):
        assert not check_pretrained(URL, 'part', allow_untrained=True)
    keep(hub)
    for allowed in (False, True, 'quiet'):
        assert check_pretrained(URL, 'part', allow_untrained=allowed)


def test_what_was_downloaded_is_loaded(hub):
    state, part = keep(hub), nn.Linear(2, 2)
    load_pretrained(part, URL, 'part')
    assert torch.equal(part.weight, state['weight'])


@pytest.mark.parametrize(
    'error',
    [URLError('no route'),
     ConnectionResetError('reset'),
     IncompleteRead(b'')])
def test_a_failed_download_says_what_to_do(monkeypatch, error):

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', fail)
    with pytest.raises(ConnectionError) as raised:
        load_pretrained(nn.Linear(2, 2), URL, 'landmark prior')
    for text in ('landmark prior', URL, 'by hand', 'checkpoint', 'path'):
        assert text in str(raised.value)
    assert raised.value.__cause__ is error
