# Copyright (c) orsa contributors. All rights reserved.
"""The page as a server that sends no request elsewhere."""
import contextlib
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import threading
from typing import Callable, Iterator, Optional
from unittest import mock

from orsa.version import __version__
from .viewer import Refusal, Viewer

GRADIO = 'gradio>=6.31,<7'
MAX_UPLOAD_MB = 100

# Read by gradio and by huggingface_hub, which it brings, when they are
# imported or used.
_QUIET = dict(
    GRADIO_ANALYTICS_ENABLED='False',
    GRADIO_RUN_HISTORY='False',
    HF_HUB_OFFLINE='1',
    HF_HUB_DISABLE_TELEMETRY='1')

# The browser itself refuses other addresses. gradio's page has scripts in it.
_POLICY = '; '.join((
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "form-action 'self'",
    "frame-ancestors 'self'",
    "object-src 'none'",
))
_HEADERS = [(b'content-security-policy', _POLICY.encode()),
            (b'referrer-policy', b'no-referrer'),
            (b'x-content-type-options', b'nosniff')]


def require_gradio() -> None:
    """Check that gradio is installed.

    Raises:
        ImportError: If it is not; the message has the command.
    """
    if importlib.util.find_spec('gradio') is None:
        raise ImportError('orsa web needs gradio, which is not installed: '
                          f'pip install "{GRADIO}"')


async def _refuse(url: str, *args, **kwargs):
    # in place of gradio's download of a file that a visitor names
    import gradio
    raise gradio.Error('Only uploads are read.', print_exception=False)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """gradio's settings, and a folder for uploads that is removed."""
    with tempfile.TemporaryDirectory(
            prefix='orsa_web_', ignore_cleanup_errors=True) as folder:
        with mock.patch.dict(os.environ, _QUIET, GRADIO_TEMP_DIR=folder):
            yield


def _with_policy(app: Callable) -> Callable:
    """An ASGI application whose responses carry the policy."""

    async def respond(scope, receive, send):

        async def send_with(message):
            if message['type'] == 'http.response.start':
                message['headers'] = [*message.get('headers', ()), *_HEADERS]
            await send(message)

        await app(scope, receive, send_with)

    return respond


def build_app(viewer: Viewer) -> Callable:
    """Build the page as an ASGI application.

    Args:
        viewer (Viewer): The models.

    Returns:
        Callable: To be run in the settings of :func:`serve`.
    """
    require_gradio()
    # not above: they are imported in the settings of serve()
    import gradio
    from fastapi import FastAPI, HTTPException, UploadFile

    from .help import routes
    from .page import build_page, style
    helps = routes()

    def predict(file: UploadFile) -> dict:
        """The faces in an image, as ``predictions.jsonl`` has them."""
        data = file.file.read((MAX_UPLOAD_MB << 20) + 1)
        if len(data) > MAX_UPLOAD_MB << 20:
            raise HTTPException(413, f'more than {MAX_UPLOAD_MB} MB')
        try:
            return dict(faces=viewer.rows(data, file.filename or 'image'))
        except Refusal as error:
            raise HTTPException(422, str(error)) from error

    app = FastAPI(
        routes=helps,
        title='orsa',
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None)
    app.post('/api/predict')(predict)
    page = build_page(viewer, docs=bool(helps), max_mb=MAX_UPLOAD_MB)
    gradio.mount_gradio_app(
        app,
        page,
        path='/',
        footer_links=[],
        allowed_paths=[],
        show_error=True,
        max_file_size=f'{MAX_UPLOAD_MB}mb',
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        **style())
    # gradio 6.31 reads this before it checks that a file was uploaded, and
    # sets it only in launch(): a mounted page would hand out any file
    page.has_launched = page.is_running = True
    return _with_policy(app)


def open_socket(host: str, port: int) -> socket.socket:
    """Listen at a port.

    Args:
        host (str): The address to listen at.
        port (int): 0 for any that is free.

    Returns:
        socket.socket: Listening.

    Raises:
        OSError: If it is taken or not allowed.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        # who comes before the page is ready waits
        found.listen(64)
    except (OSError, OverflowError) as error:
        found.close()
        raise OSError(f'cannot listen at {host}, port {port} ({error}): use '
                      'another --port, 0 for any that is free') from error
    return found


def serve(viewer: Viewer,
          host: str = '127.0.0.1',
          port: int = 7860,
          on_start: Optional[Callable] = None) -> None:
    """Serve the page until it is stopped.

    No request leaves the machine: nothing is counted or shared, fonts and
    scripts are gradio's own files, and the browser refuses other addresses.
    Of the disk only uploads are read; they are in a temporary folder, for an
    hour at most and until the end.

    Args:
        viewer (Viewer): The models.
        host (str): The address to listen at. Defaults to '127.0.0.1', for
            this machine alone.
        port (int): Defaults to 7860.
        on_start (Callable, optional): Is called with the address of the page
            and uvicorn's server, whose ``should_exit`` ends it.
            Defaults to None.

    Raises:
        ImportError: If gradio is not installed.
        OSError: If the port is taken or not allowed.
    """
    require_gradio()
    if threading.current_thread() is threading.main_thread():
        # SIGTERM, which uvicorn sends again at the end, unwinds: the uploads
        # are removed
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with contextlib.closing(open_socket(host, port)) as listener, \
            _environment():
        import uvicorn
        from gradio import processing_utils
        with mock.patch.object(processing_utils, 'async_ssrf_protected_get',
                               _refuse):
            config = uvicorn.Config(
                build_app(viewer),
                # its own would close the log files of this process
                log_config=None,
                log_level='warning',
                lifespan='on',
                # open pages would keep it waiting
                timeout_graceful_shutdown=2)
            server = uvicorn.Server(config)
            shown = f'[{host}]' if ':' in host else host
            address = f'http://{shown}:{listener.getsockname()[1]}'
            if on_start is not None:
                on_start(address, server)
            # Ctrl-C is how it is meant to end
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[listener])
