# Copyright (c) orsa contributors. All rights reserved.
"""The macros of ``markup.html``, in which jinja2 escapes what is inserted."""
import os.path as osp

from jinja2 import Environment, FileSystemLoader

_ENVIRONMENT = Environment(
    autoescape=True, loader=FileSystemLoader(osp.dirname(__file__)))
_ENVIRONMENT.filters['percent'] = '{:.0%}'.format

# the page's names of Viewer.maps
MAPS = dict(
    image='image branch', fused='image and masks', landmarks='landmarks')


def render(macro: str, *args) -> str:
    """Render a part of the page.

    Args:
        macro (str): One of those in ``markup.html``.
        args: Its arguments.

    Returns:
        str: HTML.
    """
    module = _ENVIRONMENT.get_template('markup.html').module
    return str(getattr(module, macro)(*args))
