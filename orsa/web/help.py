# Copyright (c) orsa contributors. All rights reserved.
"""The pages of ``docs/``, served beside the page where they exist."""
from pathlib import Path
from typing import List

_DOCS = Path(__file__).resolve().parents[2] / 'docs'
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


def routes() -> List:
    """Routes of Starlette: ``/help/NAME``, ``/help/NAME.md`` and images.

    Returns:
        list: Only existing pages are served, by their names; empty in an
        installed wheel.
    """
    from markdown_it import MarkdownIt
    from starlette.exceptions import HTTPException
    from starlette.responses import HTMLResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    pages = {path.stem: path for path in _DOCS.glob('*.md')}

    def page(request):
        name = Path(request.path_params['name']).stem
        if name not in pages:
            raise HTTPException(404)
        text = pages[name].read_text('utf-8')
        return HTMLResponse(
            _PAGE.format(
                title=text.split('\n')[0].lstrip('# '),
                body=MarkdownIt().enable('table').render(text)))

    if not pages:
        return []
    images = StaticFiles(directory=_DOCS / 'images', check_dir=False)
    return [Mount('/help/images', images), Route('/help/{name}', page)]
