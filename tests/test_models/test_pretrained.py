# Copyright (c) orsa contributors. All rights reserved.
"""Addresses as checkpoints of parts."""
import hashlib
import shutil
from http.client import IncompleteRead
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import URLError

import pytest
import torch
import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader

from orsa.models.utils.pretrained import check_pretrained, load_pretrained
from orsa.utils.checkpoint import load_checkpoint, local_file

URL = 'https://example.invalid/models/part-12345678.pth?download=1'


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path))
    monkeypatch.setenv('no_proxy', '*')
    return tmp_path / 'checkpoints'


def keep(hub):
    hub.mkdir()
    state = nn.Linear(2, 2).state_dict()
    torch.save(state, hub / 'part-12345678.pth')
    return state


def test_local_file(hub, tmp_path):
    assert local_file(URL) is None
    keep(hub)
    assert local_file(URL) == str(hub / 'part-12345678.pth')
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


@pytest.fixture
def server(tmp_path):
    """A folder, and its address on this machine."""
    folder = tmp_path / 'served'

    class Quiet(SimpleHTTPRequestHandler):

        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    folder.mkdir()
    with ThreadingHTTPServer(('127.0.0.1', 0), Quiet) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{running.server_port}'
        running.shutdown()


def test_two_addresses_are_two_files(hub, server):
    folder, address = server
    for i, name in enumerate('ab'):
        (folder / name).mkdir()
        torch.save(dict(w=torch.tensor(i)), folder / name / 'm.pth')
    for _ in range(2):
        for i, name in enumerate('ab'):
            url = f'{address}/{name}/m.pth'
            assert load_checkpoint(url)['w'] == i
            assert torch.equal(
                torch.load(local_file(url))['w'], torch.tensor(i))
        (folder / 'a/m.pth').unlink(missing_ok=True)  # kept on the disk
    assert len(list(hub.iterdir())) == 2


def test_a_hash_in_the_name_is_shared_where_it_is_true(hub, server):
    folder, address = server
    path = folder / 'x.pth'
    torch.save(dict(w=torch.tensor(7)), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    true, false = f'm-{digest}.pth', 'm-00000000_20230529.pth'
    for name in (true, false):
        shutil.copy(path, folder / name)
        assert load_checkpoint(f'{address}/{name}')['w'] == 7
    found = sorted(p.name for p in hub.iterdir())
    assert true in found and false not in found and len(found) == 2
    # nothing is asked for: it is there, as torch hub would have it
    assert load_checkpoint(f'https://example.invalid/{true}')['w'] == 7


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
