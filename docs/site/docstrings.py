# Copyright (c) orsa contributors. All rights reserved.
"""Docstrings as the site reads them.

They are written as the OpenMMLab libraries write theirs, in Google's layout
with links and roles of reStructuredText; the site's language is Markdown.
"""
import re

import griffe


def _link(match: re.Match) -> str:
    name = ' '.join(match.group(1).split())
    return f'[{name}]({match.group(2)})'


_CHANGES = (
    # `name <address>`_
    (re.compile(r'`([^`<]+?)\s*<([^`>]+)>`_'), _link),
    # :class:`name`
    (re.compile(r':[a-z]+:(`[^`]+`)'), r'\1'),
    # a formula: nothing here draws it, it is shown as it is written
    (re.compile(r'^( *)\.\. math::\n', re.MULTILINE), ''),
    # an indented block follows
    (re.compile(r'(\S)(?:: ::|::)(?=\n\s*\n)'), r'\1:'),
)


def to_markdown(text: str) -> str:
    """Make Markdown of the reStructuredText in a docstring."""
    for pattern, change in _CHANGES:
        text = pattern.sub(change, text)
    return text


class Docstrings(griffe.Extension):
    """Rewrites every docstring that is read."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
