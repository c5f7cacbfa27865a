# Copyright (c) orsa contributors. All rights reserved.
"""The page: what there is to see and to move, in gradio."""
import logging
import os.path as osp
from typing import Optional, Tuple

import cv2
import gradio as gr
import numpy as np

from orsa.datasets import OccludeFace
from orsa.visualization import annotations
from . import markup
from .viewer import VARIANTS, Look, Refusal, Viewer

_NONE = 'none'
_SIDE = 384  # of a face, in pixels
_DOTS = 256  # the same with landmarks, which are a few pixels large
_KEEP = 3600  # seconds


def style() -> dict:
    """Theme and CSS; all files are gradio's own or the system's."""
    fonts = ('system-ui', '-apple-system', 'Segoe UI', 'Roboto', 'DejaVu Sans',
             'sans-serif')
    with open(
            osp.join(osp.dirname(__file__), 'style.css'),
            encoding='utf-8') as file:
        css = file.read()
    theme = gr.themes.Base(
        primary_hue='blue',
        font=fonts,
        font_mono=('ui-monospace', 'DejaVu Sans Mono', 'monospace'))
    return dict(theme=theme, css=css)


def _rgb(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _large(image: np.ndarray) -> np.ndarray:
    return _rgb(
        cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC))


def _failure(error: Exception) -> str:
    """What the page says of it; what nobody expected goes to the log too."""
    if isinstance(error, Refusal):
        return markup.error(str(error))
    logging.getLogger('orsa.web').error('a step failed', exc_info=error)
    return markup.error(
        f'This failed ({type(error).__name__}: {error}). Other pictures and '
        'settings still work; the terminal has the details.')


class Steps:
    """What happens when something is moved: values for the page.

    Nothing is raised, what fails is said on the page.

    Args:
        viewer (Viewer): The models.
    """

    def __init__(self, viewer: Viewer):
        self.viewer = viewer

    def look(self, path: Optional[str], aligned: bool) -> Tuple:
        """Look at a picture.

        Returns:
            tuple: The look, a message, the drawing, the choice of faces, and
            whether what is below is shown.
        """
        hidden = gr.update(visible=False)
        if path is None:
            return None, markup.HINT, hidden, hidden, hidden
        try:
            look = self.viewer.look(path, aligned)
        except Exception as error:
            return None, _failure(error), hidden, hidden, hidden
        choices = [(f'{i + 1}: {f.expression}' + ' (unsure)' * f.abstain, i)
                   for i, f in enumerate(look.faces)]
        several = len(choices) > 1
        return (look, markup.found(len(choices), look.num_found),
                gr.update(value=_rgb(look.drawing), visible=not aligned),
                gr.update(choices=choices, value=0,
                          visible=several), gr.update(visible=True))

    def face(self, look: Optional[Look], index: Optional[int]) -> Tuple:
        """Look at one of its faces.

        Returns:
            tuple: HTML of the scores, the face with landmarks, with its
            parts, and HTML of the colours.
        """
        if look is None:
            return '', None, None, ''
        try:
            return self._face(look.faces[index or 0])
        except Exception as error:
            return _failure(error), None, None, ''

    def _face(self, face) -> Tuple:
        points = face.crop_landmarks
        marked = annotations.draw_annotations(
            face.crop, None if points is None else points[:, :2], size=_DOTS)
        parts = None
        if face.parsing is not None:
            parts = _rgb(
                annotations.draw_annotations(
                    face.crop, seg_map=face.parsing, size=_SIDE))
        scores = markup.verdict(face) + markup.bars('Scores',
                                                    [('score', face.scores)])
        return scores, _rgb(marked), parts, markup.legend(face.parsing)

    def heat(self, look: Optional[Look], index: Optional[int],
             of: str) -> Tuple:
        """See where the model looks.

        Returns:
            tuple: The map over the face, and HTML of what it is.
        """
        if look is None:
            return None, ''
        try:
            found = self.viewer.attention(look.faces[index or 0].crop, of)
        except ValueError as error:  # not every backbone has such a map
            return None, markup.note(
                f'There is no map for this model: {error}')
        except Exception as error:
            return None, _failure(error)
        return (_large(annotations.overlay_heat(found.picture, found.heat)),
                markup.heat_note(of, found.shares))

    def cover(self, look: Optional[Look], index: Optional[int], kind: str,
              severity: float, variant: float, second: str) -> Tuple:
        """Cover the face, and ask one model or two.

        Returns:
            tuple: The covered face, HTML of the change, and HTML of the bars
            of either model.
        """
        if look is None:
            return None, '', '', ''
        try:
            face = look.faces[index or 0]
            covered = self.viewer.cover(face, kind, severity, variant)
            said, drawn = [], []
            for name in (self.viewer.name, second)[:1 + (second != _NONE)]:
                before, after = self.viewer.ask(name,
                                                [face.crop, covered.image])
                said.append((before, after))
                drawn.append(
                    markup.bars(name, [('as it is', before.scores),
                                       ('covered', after.scores)],
                                markup.change(before, after)))
            drawn += [''] * (2 - len(drawn))
            return (_large(covered.image),
                    markup.hidden(covered.share, said[0][1].covered), *drawn)
        except Exception as error:
            return None, _failure(error), '', ''


def _choose(look: Optional[Look], event: gr.SelectData):
    """The face that was clicked on."""
    index = None if look is None else look.face_at(*event.index)
    return gr.skip() if index is None else index


def _upload(max_mb: int) -> gr.Image:
    upload = gr.Image(
        label='Picture',
        type='filepath',
        format='png',
        sources=['upload', 'webcam', 'clipboard'],
        height=320,
        placeholder=f'# Drop a picture here\nor click to choose one, up to '
        f'{max_mb} MB',
        elem_id='orsa-upload')
    # gradio would decode the file, in fewer ways than we do, and answer a
    # broken one with a message of its own
    upload.preprocess = lambda payload: payload and payload.path
    return upload


def _picture(label: str, name: str, **kwargs) -> gr.Image:
    return gr.Image(
        label=label,
        alt_text=label,
        show_label=False,
        interactive=False,
        format='png',
        buttons=['fullscreen'],
        elem_id=f'orsa-{name}',
        elem_classes='orsa-picture' + ' orsa-face' * (name != 'drawing'),
        **kwargs)


def build_page(viewer: Viewer, docs: bool, max_mb: int) -> gr.Blocks:
    """The page.

    Args:
        viewer (Viewer): The models.
        docs (bool): Whether the documentation is served beside it.
        max_mb (int): What the server takes of a file, to be said.

    Returns:
        gr.Blocks: To be mounted or launched.
    """
    steps = Steps(viewer)
    with gr.Blocks(
            title='orsa: expressions under occlusion',
            analytics_enabled=False,
            delete_cache=(600, _KEEP)) as page:
        gr.HTML(markup.header(docs), elem_classes='orsa-head')
        state = gr.State(None, time_to_live=_KEEP)
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                upload = _upload(max_mb)
                aligned = gr.Checkbox(
                    label='It is one face, cut out already (square)',
                    elem_id='orsa-aligned')
                example = gr.Button(
                    'Draw some faces', size='sm', elem_id='orsa-example')
            with gr.Column(scale=7, min_width=300):
                message = gr.HTML(markup.HINT, elem_id='orsa-message')
                drawing = _picture('Faces', 'drawing', visible=False)
                chosen = gr.Radio(
                    label='Face',
                    choices=[],
                    visible=False,
                    elem_id='orsa-faces')
        with gr.Column(visible=False) as below:
            face_outputs, of, heat_outputs = _face_section(viewer)
            controls, cover_outputs = _cover_section(viewer)
        example.click(_drawn, None, upload, **_event())
        looked = gr.on([upload.change, aligned.change], steps.look,
                       [upload, aligned],
                       [state, message, drawing, chosen, below], **_event())
        clicked = drawing.select(_choose, state, chosen, **_event())
        for event in (looked.then, clicked.then, chosen.input):
            shown = event(steps.face, [state, chosen], face_outputs,
                          **_event())
            shown = shown.then(steps.heat, [state, chosen, of], heat_outputs,
                               **_event())
            shown.then(steps.cover, [state, chosen, *controls], cover_outputs,
                       **_event())
        of.input(steps.heat, [state, chosen, of], heat_outputs, **_event())
        gr.on([control.change for control in controls], steps.cover,
              [state, chosen, *controls], cover_outputs, **_event())
    return page


def _event() -> dict:
    # 'once' would drop what a visitor does while the last step runs. Through
    # the queue of gradio 6.31 answers get lost where steps follow each other
    # fast: its stream is closed for the old one while the new one begins.
    return dict(
        queue=False,
        api_visibility='private',
        show_progress='minimal',
        trigger_mode='always_last')


def _drawn() -> np.ndarray:
    from .viewer import drawn_people
    return _rgb(drawn_people())


def _heading(text: str) -> None:
    gr.HTML(f'<h2>{text}</h2>', elem_classes='orsa-section')


def _caption(text: str) -> None:
    gr.HTML(f'<p class="orsa-key">{text}</p>')


def _face_section(viewer: Viewer) -> Tuple[list, gr.Radio, list]:
    _heading('What the model sees in it')
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            scores = gr.HTML(elem_id='orsa-scores')
        with gr.Column(scale=8, min_width=300):
            with gr.Row():
                with gr.Column(min_width=90):
                    points = _picture('Landmarks', 'landmarks')
                    _caption('Landmarks')
                with gr.Column(min_width=90):
                    parts = _picture('Parts of the face', 'parts')
                    _caption('Parts of the face')
                with gr.Column(min_width=90):
                    heat = _picture('Where it looks', 'heat')
                    _caption('Where it looks')
            colours = gr.HTML()
            maps = [(markup.MAPS[name], name) for name in viewer.looks_at]
            of = gr.Radio(
                maps,
                value=maps[0][1],
                label='Where it looks: the map of',
                visible=len(maps) > 1,
                elem_id='orsa-map')
            note = gr.HTML(elem_id='orsa-note')
    return [scores, points, parts, colours], of, [heat, note]


def _cover_section(viewer: Viewer) -> Tuple[list, list]:
    _heading('Put something in front of it')
    with gr.Row():
        with gr.Column(scale=4, min_width=260):
            kind = gr.Dropdown(
                list(OccludeFace.KINDS),
                value='hand',
                label='What covers it',
                elem_id='orsa-kind')
            severity = gr.Slider(
                0,
                5,
                value=2,
                step=1,
                label='How much, from 0 to 5',
                elem_id='orsa-severity')
            variant = gr.Slider(
                1,
                VARIANTS,
                value=1,
                step=1,
                label='Another place or look',
                elem_id='orsa-variant')
            second = gr.Dropdown([_NONE, *viewer.others],
                                 value=next(iter(viewer.others), _NONE),
                                 label='Compare with',
                                 info=None if viewer.others else
                                 'start with orsa web --second MODEL',
                                 interactive=bool(viewer.others),
                                 elem_id='orsa-second')
        with gr.Column(scale=3, min_width=220):
            image = _picture('Covered', 'covered')
            change = gr.HTML(elem_id='orsa-change')
        with gr.Column(scale=4, min_width=260):
            first_bars = gr.HTML(elem_id='orsa-first')
        with gr.Column(scale=4, min_width=260, visible=bool(viewer.others)):
            second_bars = gr.HTML(elem_id='orsa-second-bars')
    return [kind, severity, variant,
            second], [image, change, first_bars, second_bars]
