# Copyright (c) orsa contributors. All rights reserved.
"""What mkdocs is told beyond its file: links that leave ``docs/``.

A page may link a file of the repository, ``../configs/x.py``, and that works
where the repository is looked at. The site has no repository beside it: what
is linked becomes a page of it below ``files/``, a Markdown file as it is, any
other as its text.
"""
import os.path as osp
import posixpath
import re
from pathlib import Path
from typing import Dict, Iterator, Set

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
FILES = 'files'
# a link's target without its anchor; images too
LINK = re.compile(r'(?<=\]\()([^)#\s:]+)(?=(?:#[^)\s]*)?\))')
FENCE = re.compile(r'^(`{3,}|~{3,}).*?^\1`*\s*$', re.MULTILINE | re.DOTALL)
LANGUAGES = {'.py': 'python', '.yml': 'yaml', '.sh': 'bash'}


def outside_code(text: str) -> Iterator[str]:
    """The parts of a page in turn: text, code block, text, ..."""
    end = 0
    for block in FENCE.finditer(text):
        yield text[end:block.start()]
        yield block.group()
        end = block.end()
    yield text[end:]


def linked(text: str, page: str) -> Set[str]:
    """The files that a page links, as paths from the repository's top."""
    return {
        posixpath.normpath(posixpath.join(posixpath.dirname(page), m.group()))
        for part in list(outside_code(text))[::2]
        for m in LINK.finditer(part)
    }


def place(path: str) -> str:
    """Where a file of the repository is among the pages."""
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    return f'{FILES}/{path}' + ('' if path.endswith('.md') else '.md')


def as_page(path: str) -> str:
    """A file of the repository as Markdown."""
    text = (ROOT / path).read_text(encoding='utf-8')
    if path.endswith('.md'):
        return text
    # without a tilde of its own the block cannot end early
    language = LANGUAGES.get(osp.splitext(path)[1], 'text')
    return f'# {path}\n\n~~~~ {language}\n{text}\n~~~~\n'


def pages_of_files(pages: Dict[str, str]) -> Dict[str, str]:
    """Follow the links of all pages out of ``docs/``.

    Args:
        pages (dict[str, str]): Text by path from the repository's top.

    Returns:
        dict[str, str]: The pages of what is linked, by path.
    """
    found: Dict[str, str] = {}
    waiting = [t for p in pages for t in linked(pages[p], p)]
    while waiting:
        path = waiting.pop()
        if path.startswith('docs/') or path in found \
                or not (ROOT / path).is_file():
            continue
        found[path] = as_page(path)
        if path.endswith('.md'):
            waiting += linked(found[path], path)
    return found


def rewrite(text: str, page: str, known: Set[str]) -> str:
    """Let the links of a page lead to where things are in the site."""
    here = posixpath.dirname(place(page))

    def target(match: re.Match) -> str:
        path = posixpath.normpath(
            posixpath.join(posixpath.dirname(page), match.group()))
        if not path.startswith('docs/') and path not in known:
            return match.group()  # mkdocs warns of it
        return posixpath.relpath(place(path), here or '.')

    parts = list(outside_code(text))
    parts[::2] = [LINK.sub(target, part) for part in parts[::2]]
    return ''.join(parts)


# of 58.9 ± 0.6 and (-2.9, +1.4): not to be torn apart in a narrow column
FIGURE = re.compile(r'(?<=\d) ± (?=\d)|(?<=\d), (?=[-+]\d[\d.]*\))')


def whole_figures(text: str) -> str:
    """Keep the figures of tables in one piece."""
    parts = list(outside_code(text))
    for i in range(0, len(parts), 2):
        parts[i] = '\n'.join(
            FIGURE.sub(lambda m: m.group().replace(' ', '\u00a0'), line
                       ) if line.startswith('|') else line
            for line in parts[i].split('\n'))
    return ''.join(parts)


_pages: Dict[str, str] = {}


def on_files(files, config):
    """Add the pages of linked files."""
    texts = {
        f'docs/{f.src_uri}': f.content_string
        for f in files.documentation_pages()
    }
    # in the navigation, linked or not
    texts['docs/index.md'] += ''.join(f'[x](../{place_})'
                                      for place_ in _in_nav(config.nav))
    _pages.clear()
    _pages.update(pages_of_files(texts))
    for path, text in _pages.items():
        files.append(File.generated(config, place(path), content=text))
    return files


def _in_nav(nav) -> Iterator[str]:
    if isinstance(nav, str):
        if nav.startswith(f'{FILES}/'):
            yield nav.removeprefix(f'{FILES}/')
        return
    for item in nav.values() if isinstance(nav, dict) else nav or ():
        yield from _in_nav(item)


def on_page_markdown(markdown, page, **kwargs):
    """Rewrite links out of ``docs/``, and of what is not in it."""
    uri = page.file.src_uri
    path = f'docs/{uri}'
    if uri.startswith(f'{FILES}/'):
        path = next(p for p in _pages if place(p) == uri)
        if not path.endswith('.md'):
            return markdown
    return whole_figures(rewrite(markdown, path, set(_pages)))
