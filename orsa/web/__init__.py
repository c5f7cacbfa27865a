# Copyright (c) orsa contributors. All rights reserved.
"""The page of ``orsa web``. gradio is imported when it is served."""
from .serving import require_gradio, serve
from .viewer import Viewer

__all__ = ['Viewer', 'require_gradio', 'serve']
