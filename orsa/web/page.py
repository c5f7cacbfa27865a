# Copyright (c) orsa contributors. All rights reserved.
"""The page, in gradio."""
import logging
import os.path as osp
import tempfile
from typing import Callable, List, Optional, Tuple

import cv2
import gradio as gr
import numpy as np
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from orsa.utils.face_regions import FACE_CLASSES, FACE_PALETTE
from orsa.visualization.annotations import draw_annotations, overlay_heat
from .markup import MAPS, render
from .viewer import MOST_SECONDS, VARIANTS, Found, Refusal, Viewer

_NONE = 'none'
_SIDE = 384  # of a face, in pixels
_DOTS = 256  # the same with landmarks, which are a few pixels large
_KEEP = 3600  # seconds
# on a phone the upload fills the screen: the result is below it
_TO_RESULT = """() => {
  if (innerWidth < 700)
    document.querySelector('#orsa-message')?.scrollIntoView();
}"""
_EXAMPLE = osp.join(osp.dirname(__file__), 'example.jpg')
_HIDE, _SHOW = gr.update(visible=False), gr.update(visible=True)


def style() -> dict:
    """Theme and CSS; all files are gradio's own or the system's."""
    fonts = ('system-ui', '-apple-system', 'Segoe UI', 'Roboto', 'DejaVu Sans',
             'sans-serif')
    theme = gr.themes.Base(
        primary_hue='blue',
        font=fonts,
        font_mono=('ui-monospace', 'DejaVu Sans Mono', 'monospace'))
    return dict(
        theme=theme, css_paths=osp.join(osp.dirname(__file__), 'style.css'))


def _rgb(image: np.ndarray, side: Optional[int] = None) -> np.ndarray:
    if side is not None:
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _failure(error: Exception) -> str:
    """The error on the page; an unexpected one is logged too."""
    if isinstance(error, Refusal):
        return render('error', str(error))
    logging.getLogger('orsa.web').error('a step failed', exc_info=error)
    return render(
        'error', f'This failed ({type(error).__name__}: {error}). Other '
        'images and settings still work; the terminal has the details.')


class Steps:
    """The reactions of the page: values of its components.

    Nothing is raised, an error is shown on the page.

    Args:
        viewer (Viewer): The models.
    """

    def __init__(self, viewer: Viewer):
        self.viewer = viewer

    def find(self,
             path: Optional[str],
             aligned: bool,
             min_face: Optional[float] = None,
             score: Optional[float] = None) -> Tuple:
        """Find the faces in an upload.

        Returns:
            tuple: The faces, a message, the drawing, the choice of faces, two
            files to download, and whether what is below is shown.
        """
        if path is None:
            return None, render('hint'), *[_HIDE] * 5
        try:
            found = self.viewer.find(
                path, aligned, min_face=min_face, detector_score=score)
            files = self._offer(found)
        except Exception as error:
            return None, _failure(error), *[_HIDE] * 5
        choices = [(f'{i + 1}: {f.expression}' + ' (unsure)' * f.abstain, i)
                   for i, f in enumerate(found.faces)]
        return (found, render('found', len(choices), found.num_found),
                gr.update(value=_rgb(found.drawing), visible=not aligned),
                gr.update(choices=choices, value=0, visible=len(choices)
                          > 1), *files, _SHOW)

    def _offer(self, found: Found) -> List[dict]:
        """Drawing and table, where gradio serves and removes files."""
        with tempfile.TemporaryDirectory() as folder:
            return [
                gr.update(
                    value=save_file_to_cache(file, get_upload_folder()),
                    visible=True) for file in self.viewer.save(found, folder)
            ]

    def face(self, found: Optional[Found], index: Optional[int]) -> Tuple:
        """Show one of the faces.

        Returns:
            tuple: HTML of the scores, the face with landmarks, with its
            regions, and HTML of their colours.
        """
        if found is None:
            return '', None, None, ''
        try:
            face = found.faces[index or 0]
            points = face.crop_landmarks
            marked = draw_annotations(
                face.crop,
                None if points is None else points[:, :2],
                size=_DOTS)
            regions = None
            legend = render('note', 'The model has no parser.')
            if face.parsing is not None:
                regions = _rgb(
                    draw_annotations(
                        face.crop, seg_map=face.parsing, size=_SIDE))
                legend = render('legend', [(FACE_CLASSES[k], FACE_PALETTE[k])
                                           for k in np.unique(face.parsing)
                                           if 0 < k < len(FACE_CLASSES)])
            return render('scores', face), _rgb(marked), regions, legend
        except Exception as error:
            return _failure(error), None, None, ''

    def process(self, paths: Optional[List[str]]) -> Tuple:
        """Predict for several files.

        Returns:
            tuple: A message, the last video, and the archive to download.
        """
        if not paths:
            return '', _HIDE, _HIDE
        try:
            with tempfile.TemporaryDirectory() as folder:
                done = self.viewer.process(paths, folder)
                video, archive = (
                    path and save_file_to_cache(path, get_upload_folder())
                    for path in (done.video, done.archive))
        except Exception as error:
            return _failure(error), _HIDE, _HIDE
        return (render('batch', done, MOST_SECONDS),
                gr.update(value=video, visible=bool(video)),
                gr.update(value=archive, visible=bool(archive)))

    def heat(self, found: Optional[Found], index: Optional[int],
             kind: str) -> Tuple:
        """Show what the prediction depends on.

        Returns:
            tuple: The map over the face, and HTML of its meaning.
        """
        if found is None:
            return None, ''
        try:
            heat = self.viewer.attention(found.faces[index or 0].crop, kind)
        except ValueError as error:  # not every backbone has such a map
            return None, render('note', f'This model has no map: {error}')
        except Exception as error:
            return None, _failure(error)
        note = render('heat_note', kind, heat.fractions)
        if not heat.heat.any():
            note = render(
                'note', 'Nothing in this map speaks for the predicted '
                'expression: Grad-CAM is empty.')
        return _rgb(overlay_heat(heat.image, heat.heat), _SIDE), note

    def occlude(self, found: Optional[Found], index: Optional[int], kind: str,
                severity: float, variant: float, second: str) -> Tuple:
        """Occlude the face, and predict by one model or two.

        Returns:
            tuple: The occluded face, HTML of its fraction, and HTML of the
            bars of either model.
        """
        if found is None:
            return None, '', '', ''
        try:
            face = found.faces[index or 0]
            image, fraction = self.viewer.occlude(face, kind, severity,
                                                  variant)
            bars, predicted = ['', ''], None
            for i, name in enumerate((self.viewer.name, second)):
                if name == _NONE:
                    continue
                before, after = self.viewer.predict(name, [face.crop, image])
                bars[i] = render('change', name, before, after)
                predicted = after.covered if i == 0 else predicted
            message = render('occluded', fraction, predicted)
            return _rgb(image, _SIDE), message, *bars
        except Exception as error:
            return None, _failure(error), '', ''


def _choose(found: Optional[Found], event: gr.SelectData):
    """The face that was clicked on."""
    index = None if found is None else found.face_at(*event.index)
    return gr.skip() if index is None else index


def _upload(max_mb: int) -> gr.Image:
    upload = gr.Image(
        label='Image',
        type='filepath',
        format='png',
        sources=['upload', 'webcam', 'clipboard'],
        height=320,
        placeholder=f'# Drop an image here\nor click to choose one, up to '
        f'{max_mb} MB',
        elem_id='orsa-upload')
    # gradio would decode the file, in fewer ways than we do, and show a
    # message of its own for a broken one
    upload.preprocess = lambda payload: payload and payload.path
    return upload


def _image(label: str, name: str, caption: bool = False, **kwargs) -> gr.Image:
    image = gr.Image(
        label=label,
        alt_text=label,
        show_label=False,
        interactive=False,
        format='png',
        buttons=['fullscreen'],
        elem_id=f'orsa-{name}',
        elem_classes='orsa-picture' + ' orsa-face' * (name != 'drawing'),
        **kwargs)
    if caption:
        gr.HTML(render('note', label))
    return image


def build_page(viewer: Viewer, docs: bool, max_mb: int) -> gr.Blocks:
    """Build the page.

    Args:
        viewer (Viewer): The models.
        docs (bool): Whether the documentation is served beside it.
        max_mb (int): The server's limit for a file, to be shown.

    Returns:
        gr.Blocks: To be mounted or launched.
    """
    steps = Steps(viewer)
    with gr.Blocks(
            title='orsa: expressions under occlusion',
            analytics_enabled=False,
            delete_cache=(600, _KEEP)) as page:
        gr.HTML(render('header', docs), elem_classes='orsa-head')
        state = gr.State(None, time_to_live=_KEEP)
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                upload = _upload(max_mb)
                aligned = gr.Checkbox(
                    label='It is one face, already cropped (square)',
                    elem_id='orsa-aligned')
                example = gr.Button(
                    'Try drawn faces', size='sm', elem_id='orsa-example')
                which = _detector_section(viewer)
            with gr.Column(scale=7, min_width=300):
                message = gr.HTML(render('hint'), elem_id='orsa-message')
                drawing = _image('Faces', 'drawing', visible=False)
                chosen = gr.Radio([],
                                  label='Face',
                                  visible=False,
                                  elem_id='orsa-faces')
                with gr.Row():
                    files = [
                        gr.DownloadButton(
                            label, size='sm', visible=False, elem_id=name)
                        for label, name in (('Save the picture',
                                             'orsa-save-picture'),
                                            ('Save a table (CSV)',
                                             'orsa-save-table'))
                    ]
        with gr.Column(visible=False) as below:
            face_outputs, explanations = _face_section(viewer)
            if viewer.explains:
                explanations.append(_occlusion_section(viewer))
        _batch_section(steps, max_mb)

        _on(example.click, lambda: _rgb(cv2.imread(_EXAMPLE)), None, upload)
        found = _on([upload.change, aligned.change] +
                    [one.release
                     for one in which], steps.find, [upload, aligned, *which],
                    [state, message, drawing, chosen, *files, below])
        found.then(None, None, None, queue=False, js=_TO_RESULT)
        clicked = _on(drawing.select, _choose, state, chosen)
        face = [state, chosen]
        explaining = list(zip(explanations, (steps.heat, steps.occlude)))
        for event in (found.then, clicked.then, chosen.input):
            shown = _on(event, steps.face, face, face_outputs)
            for (controls, outputs), step in explaining:
                shown = _on(shown.then, step, face + controls, outputs)
        for (controls, outputs), step in explaining:
            _on([c.change for c in controls], step, face + controls, outputs)
    return page


def _on(event, step: Callable, inputs, outputs):
    # 'once' would drop what a visitor does while the last step runs. Through
    # the queue of gradio 6.31 results get lost where steps follow each other
    # fast: its stream is closed for the old one while the new one begins.
    how = dict(
        queue=False,
        api_visibility='private',
        show_progress='minimal',
        trigger_mode='always_last')
    if isinstance(event, list):
        return gr.on(event, step, inputs, outputs, **how)
    return event(step, inputs, outputs, **how)


def _heading(text: str) -> None:
    gr.HTML(f'<h2>{text}</h2>', elem_classes='orsa-section')


def _detector_section(viewer: Viewer) -> List[gr.Slider]:
    """Which of the faces are taken."""
    score = viewer.detector_score
    with gr.Accordion('Which faces', open=False, elem_id='orsa-which'):
        controls = [
            gr.Slider(
                0,
                max(400, viewer.inferencer.min_face),
                viewer.inferencer.min_face,
                step=10,
                label='At least so wide, in pixels',
                elem_id='orsa-min-face')
        ]
        if score is not None:
            controls.append(
                gr.Slider(
                    min(0.3, score),
                    max(0.95, score),
                    score,
                    step=0.05,
                    label='The detector is at least so sure',
                    elem_id='orsa-detector-score'))
    return controls


def _face_section(viewer: Viewer) -> Tuple[list, list]:
    """Outputs of a face, and controls and outputs of its attention map."""
    shown = [('Landmarks', 'landmarks'), ('Face regions', 'parts')]
    if viewer.explains:
        shown.append(('Attention', 'heat'))
    _heading('What the model sees in it')
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            scores = gr.HTML(elem_id='orsa-scores')
        with gr.Column(scale=8, min_width=300):
            images = []
            with gr.Row():
                for label, name in shown:
                    with gr.Column(min_width=90):
                        images.append(_image(label, name, caption=True))
            legend = gr.HTML()
            outputs = [scores, *images[:2], legend]
            if not viewer.explains:
                return outputs, []
            maps = [(MAPS[name], name) for name in viewer.maps]
            kind = gr.Radio(
                maps,
                value=maps[0][1],
                label='Attention map of',
                visible=len(maps) > 1,
                elem_id='orsa-map')
            note = gr.HTML(elem_id='orsa-note')
    return outputs, [([kind], [images[2], note])]


def _batch_section(steps: Steps, max_mb: int) -> None:
    with gr.Accordion(
            'Several pictures, or a video',
            open=False,
            elem_id='orsa-batch',
            elem_classes='orsa-section'):
        files = gr.File(
            label=f'Pictures and videos, up to {max_mb} MB each',
            file_count='multiple',
            file_types=['image', 'video'],
            height=160,
            elem_id='orsa-files')
        message = gr.HTML(elem_id='orsa-batch-message')
        video = gr.Video(
            visible=False,
            interactive=False,
            show_label=False,
            elem_id='orsa-video')
        archive = gr.DownloadButton(
            'Save the results (ZIP)',
            size='sm',
            visible=False,
            elem_id='orsa-save-archive')
    _on(files.change, steps.process, files, [message, video, archive])


def _occlusion_section(viewer: Viewer) -> Tuple[list, list]:
    from .explain import KINDS  # imports torch
    _heading('Occlude it')
    with gr.Row():
        with gr.Column(scale=4, min_width=260):
            kind = gr.Dropdown(
                list(KINDS),
                value='hand',
                label='Occluder',
                elem_id='orsa-kind')
            severity = gr.Slider(
                0, 5, 2, step=1, label='Severity', elem_id='orsa-severity')
            variant = gr.Slider(
                1,
                VARIANTS,
                1,
                step=1,
                label='Another place or look',
                elem_id='orsa-variant')
            second = gr.Dropdown([_NONE, *viewer.others],
                                 value=next(iter(viewer.others), _NONE),
                                 label='Compare with',
                                 visible=bool(viewer.others),
                                 elem_id='orsa-second')
        with gr.Column(scale=3, min_width=220):
            image = _image('Occluded', 'covered')
            change = gr.HTML(elem_id='orsa-change')
        with gr.Column(scale=4, min_width=260):
            first_bars = gr.HTML(elem_id='orsa-first')
        with gr.Column(scale=4, min_width=260, visible=bool(viewer.others)):
            second_bars = gr.HTML(elem_id='orsa-second-bars')
    return [kind, severity, variant,
            second], [image, change, first_bars, second_bars]
