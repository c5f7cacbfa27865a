# Copyright (c) orsa contributors. All rights reserved.
"""The server serves the page locally, without a browser."""
import glob
import http.server
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import uuid

import pytest

from orsa.cli import main
from orsa.web import serving

httpx = pytest.importorskip('httpx', reason='it comes with gradio')

# gradio's queue uses what pandas is about to drop
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


@pytest.fixture(scope='module')
def client(served):
    with httpx.Client(
            base_url=served.address, trust_env=False, timeout=120) as client:
        yield client


def _call(client, name, data):
    """Run a step of the page as its script does; what came of it."""
    config = client.get('/config').json()
    index = next(d['id'] for d in config['dependencies']
                 if d['api_name'] == name)
    answer = client.post(
        '/gradio_api/run/predict',
        json=dict(data=data, fn_index=index, session_hash=uuid.uuid4().hex))
    return answer.status_code == 200, answer.text


def _file(path):
    return dict(path=str(path), meta=dict(_type='gradio.FileData'))


def test_nothing_of_the_page_is_elsewhere(client):
    answer = client.get('/')
    policy = answer.headers['content-security-policy']
    assert "default-src 'self'" in policy
    assert not re.search(r'https?:|\*', policy)
    # what a browser loads or opens by itself
    loaded = re.findall(
        r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="(.*?)"', answer.text)
    assert not [u for u in loaded if re.match(r'(https?:)?//', u)]
    assert client.get('/config').json()['analytics_enabled'] is False
    for font in re.findall(r'url\((.*?)\)', client.get('/theme.css').text):
        assert not re.match(r'[\'"]?(https?:)?//', font)


def test_only_uploads_are_read(client, served, tmp_path, people):
    secret = tmp_path / 'secret.png'
    secret.write_bytes(people.read_bytes())
    hits = []

    class Count(http.server.BaseHTTPRequestHandler):

        def do_GET(self):
            hits.append(self.path)
            self.send_response(404)
            self.end_headers()

    with http.server.HTTPServer(('127.0.0.1', 0), Count) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{other.server_port}/a.png'
        for path in (secret, '/etc/passwd', f'../../..{secret}', url,
                     f'file://{secret}', 'http://somewhere.invalid/a.png'):
            settings = [False, 0, .7]
            for step, data in (('find', [_file(path), *settings]),
                               ('find', [None,
                                         _file(path), *settings[1:]
                                         ]), ('process', [[_file(path)]])):
                success, output = _call(client, step, data)
                assert not success, path
                assert 'found' not in output
        other.shutdown()
    assert not hits
    assert 'somewhere.invalid' not in str(served.asked)
    folder = os.path.dirname(_upload(client, people))
    kept = glob.glob(f'{os.path.dirname(folder)}/*/*')
    assert kept
    assert not [p for p in kept if 'secret' in p or 'passwd' in p]
    for path in (f'file={secret}', 'file=/etc/passwd', 'file=..%2fsetup.py',
                 f'file={serving.__file__}'):
        assert client.get(f'/gradio_api/{path}').status_code in (403, 404)


def _upload(client, path):
    files = dict(files=(path.name, path.read_bytes()))
    return client.post('/gradio_api/upload', files=files).json()[0]


def test_an_upload_is_read(client, people):
    path = _upload(client, people)
    assert os.path.isfile(path) and 'orsa_web_' in path
    success, output = _call(client, 'find', [_file(path), False, 0, .7])
    assert success and '3 faces found' in output


def test_a_program_gets_the_rows(client, viewer, people):
    files = dict(file=(people.name, people.read_bytes()))
    faces = client.post('/api/predict', files=files).json()['faces']
    assert [face['face'] for face in faces] == [1, 2, 3]
    found = viewer.find(str(people))
    assert [f['expression']
            for f in faces] == [f.expression for f in found.faces]
    answer = client.post('/api/predict', files=dict(file=('x.png', b'no')))
    assert answer.status_code == 422 and 'cannot be read' in answer.text
    large = dict(file=('x.png', b'0' * (serving.MAX_UPLOAD_MB * 2**20 + 1)))
    assert client.post('/api/predict', files=large).status_code == 413


def test_large_files_are_refused(client):
    size = serving.MAX_UPLOAD_MB * 2**20 + 1
    files = dict(files=('large.png', b'\0' * size))
    answer = client.post('/gradio_api/upload', files=files)
    assert answer.status_code == 413
    assert 'maximum allowed size' in answer.text


def test_the_documentation_is_served_by_name_alone(client, repo_root):
    if not (repo_root / 'docs/web.md').is_file():
        pytest.skip('this is no checkout')
    for name in ('responsible_use', 'web.md'):
        answer = client.get(f'/help/{name}')
        assert answer.status_code == 200 and '<h1>' in answer.text
    for image in re.findall(r'src="(.*?)"', answer.text):
        assert client.get(f'/help/{image}').status_code == 200
    for name in ('..%2fsetup', '%2e%2e/setup.py', 'images/..%2f..%2fsetup.py',
                 'nothing'):
        assert client.get(f'/help/{name}').status_code == 404


def test_without_gradio_it_says_what_to_type(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *a: None
        if name == 'gradio' else find(name, *a))
    assert main(['web']) == 3
    assert f'pip install "{serving.GRADIO}"' in capsys.readouterr().err


def test_the_pip_line_is_the_requirement(repo_root):
    lines = (repo_root / 'requirements/web.txt').read_text().splitlines()
    assert serving.GRADIO in lines


def test_a_port_that_is_taken(capsys, monkeypatch):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f'port {port}'):
            serving.serve(None, port=port)
    with pytest.raises(OSError, match='--port'):
        serving.open_socket('127.0.0.1', 70000)


def test_wrong_usage_is_reported_before_the_page(capsys):
    assert main(['web', '--second-weights', 'x.pth']) == 2
    assert '--second MODEL' in capsys.readouterr().err
    assert main(['web', '--second', 'orsanet_huge', '--port', '0']) == 2
    assert "no model 'orsanet_huge'" in capsys.readouterr().err


def test_settings_are_as_they_were_afterwards(monkeypatch):
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'mine')
    monkeypatch.delenv('GRADIO_TEMP_DIR', raising=False)
    with serving._environment():
        folder = os.environ['GRADIO_TEMP_DIR']
        assert os.path.isdir(folder)
        assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    assert not os.path.exists(folder)
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'mine'
    assert 'GRADIO_TEMP_DIR' not in os.environ


def test_importing_it_says_nothing():
    """OpenMMLab's models are imported once what they say is hidden."""
    done = subprocess.run([
        sys.executable, '-W', 'error::UserWarning', '-c',
        'import orsa.web.serving'
    ],
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
