# Copyright (c) orsa contributors. All rights reserved.
"""A server and a browser for the tests of the page."""
import contextlib
import importlib.util
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest
import torch

from orsa import web
from orsa.apis import FERInferencer, init_model
from orsa.utils.classes import RAFDB_CLASSES
from orsa.web import Viewer, serve

EXAMPLE = str(Path(web.__file__).parent / 'example.jpg')
BASELINE = 'orsa::baselines/resnet18_lite_rafdb.py'


class Page(NamedTuple):
    address: str
    viewer: Viewer
    # what Python connected to or asked the name of, since the start
    asked: list


@pytest.fixture(scope='session')
def inferencer():
    return FERInferencer(device='cpu', backend='pytorch')


@pytest.fixture(scope='session')
def second(tmp_path_factory):
    """Another model, which has learnt nothing, by config and weights."""
    torch.manual_seed(3)
    model = init_model(BASELINE)
    path = tmp_path_factory.mktemp('second') / 'resnet.pth'
    meta = dict(dataset_meta=dict(classes=RAFDB_CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return FERInferencer(BASELINE, str(path), 'cpu')


@pytest.fixture(scope='session')
def viewer(inferencer, second):
    return Viewer('orsanet_lite', inferencer, dict(baseline=lambda: second))


@pytest.fixture(scope='session')
def people(tmp_path_factory):
    """A file of three synthetic faces, of which the left one is sad."""
    path = tmp_path_factory.mktemp('people') / 'three people.png'
    cv2.imwrite(str(path), cv2.imread(EXAMPLE))
    return path


_watched = []


def _watch(event, args):
    if _watched and event in ('socket.connect', 'socket.getaddrinfo'):
        _watched[-1].append(args[1] if event == 'socket.connect' else args)


@contextlib.contextmanager
def _watching():
    # a hook stays for good, so that it listens only meanwhile
    if not hasattr(_watch, 'added'):
        sys.addaudithook(_watch)
        _watch.added = True
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()


@pytest.fixture(scope='session')
def served(viewer):
    if importlib.util.find_spec('gradio') is None:
        pytest.skip('gradio is not installed (requirements/web.txt)')
    ready, servers = threading.Event(), []

    def on_start(address, server):
        servers.extend([address, server])
        ready.set()

    with _watching() as asked:
        thread = threading.Thread(
            target=serve, args=(viewer, '127.0.0.1', 0, on_start), daemon=True)
        thread.start()
        # the import of gradio takes its time
        assert ready.wait(300)
        yield Page(servers[0], viewer, asked)
        servers[1].should_exit = True
        thread.join(20)
        assert not thread.is_alive()
