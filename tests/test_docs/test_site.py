# Copyright (c) orsa contributors. All rights reserved.
"""The site of docs/ builds without a warning, complete and self-contained."""
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytest.importorskip('mkdocs', reason='pip install -r requirements/docs.txt')
ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / 'docs' / 'site'
# torch is out of reach: the reference is read, not imported
BUILD = """
import sys
sys.modules.update(torch=None, mmengine=None, orsa=None)
from mkdocs.__main__ import cli
cli(['build', '--strict', '-f', 'docs/site/mkdocs.yml', '-d', sys.argv[1]])
"""
API = {
    'apis': ['orsa.apis'],
    'models': [
        f'orsa.models.{package}'
        for package in ('backbones', 'data_preprocessors', 'heads', 'losses',
                        'necks', 'priors')
    ],
    'datasets':
    ['orsa.datasets', 'orsa.datasets.transforms', 'orsa.datasets.samplers'],
    'engine':
    ['orsa.engine.hooks', 'orsa.engine.loops', 'orsa.engine.optimizers'],
    'evaluation': ['orsa.evaluation.metrics'],
    'visualization': ['orsa.visualization'],
}


class Page(HTMLParser):
    """Links, resources, anchors and text of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.resources, self.anchors = [], [], set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs.get('id'), attrs.get('name')}
        if tag == 'a' and attrs.get('href'):
            self.links.append(attrs['href'])
        if attrs.get('src'):
            self.resources.append(attrs['src'])
        if tag == 'link' and attrs.get('rel') != 'canonical':
            self.resources.append(attrs.get('href', ''))


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-c', BUILD, str(out)],
        cwd=ROOT,
        env=dict(os.environ, NO_MKDOCS_2_WARNING='1'),
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'WARNING' not in done.stderr
    return out


@pytest.fixture(scope='module')
def pages(site):
    return {path: Page(path) for path in site.rglob('*.html')}


def test_every_link_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links + page.resources:
            parts = urlsplit(link)
            if parts.scheme or link.startswith(
                    '//') or path.name == '404.html':
                continue
            target = path if not parts.path else Path(
                os.path.normpath(path.parent / unquote(parts.path)))
            if site not in target.parents or not target.is_file():
                broken.append((path.name, link))
            elif parts.fragment and target.suffix == '.html' and unquote(
                    parts.fragment) not in pages[target].anchors:
                broken.append((path.name, link))
    assert not broken
    assert len(pages) > 20


def test_nothing_is_fetched(site, pages):
    for path, page in pages.items():
        assert not [r for r in page.resources if '//' in r], path
        assert 'https://unpkg' not in path.read_text(encoding='utf-8')
    for sheet in site.rglob('*.css'):
        assert not re.findall(r'''(?:@import|url\()\s*["']?(?:https?:)?//''',
                              sheet.read_text(encoding='utf-8')), sheet


def test_the_search_opens_from_the_disk(site):
    index = (site / 'search/search_index.js').read_text(encoding='utf-8')
    assert index.startswith('var __index = ') and 'DAREHead' in index
    home = (site / 'index.html').read_text(encoding='utf-8')
    assert 'site/iframe-worker.js' in home


@pytest.mark.parametrize('name', API)
def test_the_reference_is_complete(name, site, pages):
    anchors = pages[site / 'api' / f'{name}.html'].anchors
    for package in API[name]:
        for part in importlib.import_module(package).__all__:
            assert f'{package}.{part}' in anchors, part


def test_docstrings_are_markdown(site):
    for path in (site / 'api').glob('*.html'):
        text = re.sub(r'<(pre|code).*?</\1>', '', path.read_text(), flags=re.S)
        assert not re.findall(r':(?:class|func|meth|mod):|`_|\.\. \w+::',
                              text), path


@pytest.mark.parametrize('rst, markdown', [
    ('see `ArcFace\n    <https://a.b>`_.', 'see [ArcFace](https://a.b).'),
    (':func:`orsa.apis.init_model`', '`orsa.apis.init_model`'),
    ('The tree: ::\n\n    x', 'The tree:\n\n    x'),
    ('(its page)::\n\n    x', '(its page):\n\n    x'),
    ('a[::2] stays', 'a[::2] stays'),
])
def test_restructuredtext(rst, markdown, monkeypatch):
    monkeypatch.syspath_prepend(str(SITE))
    from docstrings import to_markdown
    assert to_markdown(rst) == markdown


@pytest.mark.parametrize('path', [
    'README.md', 'CHANGELOG.md', 'configs/baselines/README.md',
    'orsa/zoo/README.md',
    *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob('docs/*.md'))
])
def test_links_work_in_the_repository(path, monkeypatch):
    """As GitHub shows it: files exist, and so do headings."""
    monkeypatch.syspath_prepend(str(SITE))
    from hooks import outside_code
    text = ''.join(list(outside_code((ROOT / path).read_text()))[::2])
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        file, _, heading = link.partition('#')
        if '://' in link:
            continue
        target = (ROOT / path).parent / file if file else ROOT / path
        assert target.exists(), link
        if heading:
            headings = re.findall(r'^#+ (.+)$', target.read_text(), re.M)
            slugs = [
                re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-')
                for h in headings
            ]
            assert heading in slugs, (link, slugs)


def test_the_hook_shows_what_is_linked(monkeypatch):
    monkeypatch.syspath_prepend(str(SITE))
    import hooks
    page = ('[a](../setup.py) [b](../orsa/zoo/README.md#x) [c](tour.md) '
            '[d](https://a.b/c.py)\n```\n[e](../LICENSE)\n```\n')
    found = hooks.pages_of_files({'docs/x.md': page})
    assert 'setup.py' in found and 'LICENSE' not in found
    assert 'find_packages' in found['setup.py']
    new = hooks.rewrite(page, 'docs/x.md', set(found))
    assert '[a](files/setup.py.md)' in new
    assert '[b](files/orsa/zoo/README.md#x)' in new
    assert '[c](tour.md)' in new and '[e](../LICENSE)' in new
    # from below, and to a file that is nowhere
    assert hooks.rewrite('[a](../apis.md)', 'docs/api/x.md',
                         set()) == '[a](../apis.md)'
    assert hooks.rewrite('[a](../none.py)', 'docs/x.md',
                         set()) == '[a](../none.py)'


def test_every_page_of_docs_is_in_the_navigation():
    nav = yaml.dump(
        yaml.load((SITE / 'mkdocs.yml').read_text(),
                  type(
                      'Loader', (yaml.SafeLoader, ), {
                          'yaml_multi_constructors': {
                              'tag:yaml.org,2002:python/': lambda *args: None
                          }
                      }))['nav'])
    for path in (ROOT / 'docs').rglob('*.md'):
        assert path.relative_to(ROOT / 'docs').as_posix() in nav, path


def test_the_table_of_models_is_that_of_the_index(monkeypatch):
    monkeypatch.syspath_prepend(str(SITE))
    import zoo
    part = zoo.PART.search(zoo.PAGE.read_text()).group()
    assert part == zoo.tables(), 'run: python docs/site/zoo.py'
