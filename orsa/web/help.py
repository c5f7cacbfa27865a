# Copyright (c) orsa contributors. All rights reserved.
"""The pages of ``docs/``, where they are there, without asking a server."""
import os.path as osp
from glob import glob
from typing import Dict, List

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ max-width: 46rem; margin: 1.5rem auto; padding: 0 1rem;
  font: 1rem/1.6 system-ui, sans-serif; }}
pre, table {{ overflow-x: auto; display: block; }}
pre {{ background: #f2f4f6; padding: .7rem; }}
td, th {{ border: 1px solid #c5ccd3; padding: .2rem .5rem; }}
table {{ border-collapse: collapse; }} img {{ max-width: 100%; }}
</style>{body}</html>"""


def docs_folder() -> str:
    """Where the documentation of a checkout lies."""
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    return osp.join(osp.dirname(package), 'docs')


def docs_pages() -> Dict[str, str]:
    """Files by the name of their page; empty in an installed wheel."""
    return {
        osp.splitext(osp.basename(path))[0]: path
        for path in glob(osp.join(docs_folder(), '*.md'))
    }


def render(path: str) -> str:
    """A page as HTML."""
    from markdown_it import MarkdownIt
    with open(path, encoding='utf-8') as file:
        text = file.read()
    title = text.split('\n')[0].lstrip('# ')
    return _PAGE.format(
        title=title, body=MarkdownIt().enable('table').render(text))


def routes() -> List:
    """Routes of Starlette: ``/help/NAME``, ``/help/NAME.md`` and images.

    Only pages that are there now are served, by their names.
    """
    from starlette.exceptions import HTTPException
    from starlette.responses import HTMLResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    pages = docs_pages()

    def page(request):
        name = osp.splitext(request.path_params['name'])[0]
        if name not in pages:
            raise HTTPException(404)
        return HTMLResponse(render(pages[name]))

    found = [Route('/help/{name}', page)]
    images = osp.join(docs_folder(), 'images')
    if osp.isdir(images):
        found.insert(0, Mount('/help/images', StaticFiles(directory=images)))
    return found if pages else []
