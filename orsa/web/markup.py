# Copyright (c) orsa contributors. All rights reserved.
"""The parts of the page that are HTML: what comes from outside is escaped."""
from html import escape
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.apis import FaceResult
from orsa.utils.face_regions import LAPA_CLASSES, LAPA_PALETTE

DOCS_PAGES = (('web', 'About this page'), ('responsible_use',
                                           'Responsible use'))


def header(docs: bool) -> str:
    """The title, and what a label is not.

    Args:
        docs (bool): Whether the pages of the documentation are served.
    """
    links = ''.join(f'<a href="help/{name}" target="_blank">{title}</a>'
                    for name, title in DOCS_PAGES) if docs else ''
    return ('<h1>What does this face show?</h1>'
            '<p class="lead">Expressions by name, also where something covers '
            'the face. A label says what a face shows, <b>not what a person '
            'feels</b>; decide nothing about people by it. Pictures stay on '
            f'the machine that serves this page.</p><nav>{links}</nav>')


def error(message: str) -> str:
    """Why nothing is shown."""
    return f'<p class="orsa-error" role="alert">{escape(message)}</p>'


def found(shown: int, total: int) -> str:
    """How many faces there are."""
    said = f'{total} face{"s" if total > 1 else ""} found.'
    if shown < total:
        said += f' The {shown} largest can be chosen.'
    elif total > 1:
        said += ' Choose one below, or click on it.'
    return f'<p class="orsa-status" role="status">{said}</p>'


def verdict(face: FaceResult) -> str:
    """What is to be taken from the scores, and why not."""
    best = f'{face.expression}, {face.confidence:.0%}'
    if face.abstain:
        said = ('<span class="orsa-tag unsure">The model abstains</span> '
                f'{escape("; ".join(face.reasons))}. Its best guess would be '
                f'{escape(best)}.')
    else:
        said = f'<span class="orsa-tag">{escape(best)}</span>'
    if face.covered is not None:
        said += f' Its parser sees {face.covered:.0%} of the face covered.'
    return f'<p class="orsa-verdict">{said}</p>'


def bars(title: str,
         columns: Sequence[Tuple[str, Dict[str, float]]],
         remark: str = '') -> str:
    """Scores as bars in a table, one or two a class.

    Args:
        title (str): What the scores are of.
        columns (Sequence): Names and scores; the second is hatched.
        remark (str): HTML above the bars. Defaults to ''.
    """
    rows = []
    best = [max(scores, key=scores.get) for _, scores in columns]
    for name in columns[0][1]:
        cells = ''.join(
            _bar(k, scores[name], name == best[k])
            for k, (_, scores) in enumerate(columns))
        rows.append(f'<tr><th scope="row">{escape(name)}</th>'
                    f'<td>{cells}</td></tr>')
    key = ''
    if len(columns) > 1:
        key = '<p class="orsa-key">' + ''.join(
            f'<span><i class="fill{k}"></i>{escape(label)}</span>'
            for k, (label, _) in enumerate(columns)) + '</p>'
    title = escape(title)
    return (f'<div class="orsa-bars"><h3>{title}</h3>{remark}{key}'
            f'<table aria-label="{title}">{"".join(rows)}</table></div>')


def _bar(column: int, value: float, best: bool) -> str:
    mark = ' best' if best else ''
    return (f'<div class="row{mark}"><div class="track"><div class="fill'
            f'{column}" style="width:{100 * value:.1f}%"></div></div>'
            f'<span>{value:.0%}</span></div>')


def change(before: FaceResult, after: FaceResult) -> str:
    """How the answer changes when something covers the face."""
    if after.expression == before.expression:
        said = (f'Still <b>{escape(after.expression)}</b>: '
                f'{before.confidence:.0%} as it is, {after.confidence:.0%} '
                'covered.')
    else:
        said = (f'From <b>{escape(before.expression)}</b> '
                f'({before.confidence:.0%}) to '
                f'<b>{escape(after.expression)}</b> '
                f'({after.confidence:.0%}).')
    if after.abstain:
        said += (' <span class="orsa-tag unsure">It abstains</span> '
                 f'{escape("; ".join(after.reasons))}.')
    return f'<p class="orsa-verdict">{said}</p>'


def hidden(share: float, seen: Optional[float]) -> str:
    """How much is hidden, and what the model notices of it."""
    said = f'{share:.0%} of the face is hidden'
    if seen is not None:
        said += f'; its parser takes {seen:.0%} for covered'
    return f'<p class="orsa-verdict">{said}.</p>'


def note(text: str) -> str:
    """A remark in small letters."""
    return f'<p class="orsa-key">{escape(text)}</p>'


HINT = note('The faces in it appear here, each with what it shows. No '
            'picture at hand? Let the program draw some faces.')

# what the page calls the maps of Viewer.looks_at
MAPS = dict(
    image='image branch', fused='image and masks', landmarks='landmarks')


def heat_note(of: str, shares: Optional[Tuple[float, float]] = None) -> str:
    """What a map of where the model looks shows.

    Args:
        of (str): One of ``MAPS``.
        shares (tuple[float, float], optional): Of 'landmarks', the least and
            the most that a place gets.
    """
    if of == 'landmarks':
        lowest, highest = shares
        return note('Where it looks: what the landmark tokens take from each '
                    f'place of the image, {lowest:.1%} (blue) to '
                    f'{highest:.1%} (yellow), on average.')
    which = 'image branch' if of == 'image' else (
        'map that the parts of the face have steered')
    return note(f'Where it looks: Grad-CAM of the {which} for the expression '
                'that it names, yellow is much. It shows what the score '
                'hangs on, not why.')


def legend(parsing: Optional[np.ndarray]) -> str:
    """The colours of the parts that are seen."""
    if parsing is None:
        return '<p class="orsa-key">The model has no parser.</p>'
    items: List[str] = []
    for k in np.unique(parsing):
        if 0 < k < len(LAPA_CLASSES):
            colour = 'rgb({},{},{})'.format(*LAPA_PALETTE[k])
            items.append(f'<span><i style="background:{colour}"></i>'
                         f'{LAPA_CLASSES[k]}</span>')
    return f'<p class="orsa-key">{"".join(items)}</p>'
