# Copyright (c) orsa contributors. All rights reserved.
"""Faces are found, occluded, predicted and mapped as the page shows them."""
import itertools
import re
import zipfile
from unittest import mock

import cv2
import numpy as np
import pytest

from orsa.analysis.attention import cross_attention
from orsa.apis import FERInferencer
from orsa.apis.torch_inference import prepare
from orsa.datasets import OccludeFace, SyntheticFaces
from orsa.web import Viewer
from orsa.web.explain import Attention
from orsa.web.markup import MAPS, render
from orsa.web.viewer import MOST_FILES, Refusal


@pytest.fixture(scope='module')
def look(viewer, people):
    return viewer.find(str(people))


@pytest.fixture(scope='module')
def steps(viewer):
    pytest.importorskip('gradio')
    from orsa.web.page import Steps
    return Steps(viewer)


def test_faces_are_where_they_were_drawn(look):
    faces = SyntheticFaces(
        7,
        split='test',
        size=320,
        grey_prob=0.,
        pipeline=[dict(type='orsa.DrawSyntheticFace')])
    assert look.num_found == len(look.faces) == 3
    assert [face.track for face in look.faces] == [1, 2, 3]
    found = {int(face.box[0] // 320): face for face in look.faces}
    for tile, index in enumerate((5, 6, 2)):
        points = faces[index]['gt_keypoints'][0] + (320 * tile, 0)
        error = np.abs(found[tile].landmarks[:, :2] - points).mean()
        assert error < 16  # a twentieth of the tile
    assert look.drawing.shape == (320, 960, 3)


def test_a_click_chooses_the_face_below_it(look):
    for index, face in enumerate(look.faces):
        x, y = np.array(face.box).reshape(2, 2).mean(0) * look.scale
        assert look.face_at(x, y) == index
    assert look.face_at(1, 1) is None
    half = look._replace(scale=.5)
    x, y = np.array(look.faces[2].box).reshape(2, 2).mean(0) / 2
    assert half.face_at(x, y) == 2


def test_occluders_lie_where_the_landmarks_are(viewer, look):
    face = look.faces[0]
    points = np.rint(face.crop_landmarks[:, :2]).astype(int)

    def occluded(kind, severity):
        image, _ = viewer.occlude(face, kind, severity)
        changed = (image != face.crop).any(-1)
        return changed[points[:, 1].clip(0, 127), points[:, 0].clip(0, 127)]

    eyes, mouth = slice(36, 48), slice(48, 68)
    at = occluded('sunglasses', 4)
    assert at[eyes].mean() > .9 and at[mouth].mean() < .1
    at = occluded('mask', 3)
    assert at[mouth].mean() > .9 and at[eyes].mean() < .1
    # the fraction is that of the pixels that changed within the landmarks
    image, fraction = viewer.occlude(face, 'square', 4)
    hull = np.zeros((128, 128), np.uint8)
    cv2.fillConvexPoly(
        hull, cv2.convexHull(face.crop_landmarks[:, :2].round().astype(int)),
        1)
    changed = (image != face.crop).any(-1)[hull == 1].mean()
    assert fraction == pytest.approx(.4, abs=.02)
    assert changed == pytest.approx(fraction, abs=.03)


def test_an_occluder_follows_landmarks_that_are_elsewhere(viewer, look):
    face = look.faces[0]
    with mock.patch.object(
            type(face), 'crop_landmarks', property(lambda self: moved)):
        where = []
        for shift in (0, 16):
            moved = np.concatenate(
                [_crop_points(face) +
                 (shift, 0), np.ones((68, 1))], 1).astype(np.float32)
            image = viewer.occlude(face, 'mask', 2)[0]
            away = (image != face.crop).any(-1)
            where.append(away.nonzero()[1].mean())
    assert 10 < where[1] - where[0] < 22


def _crop_points(face):
    return face.landmarks[:, :2] @ face.matrix[:, :2].T + face.matrix[:, 2]


def test_nothing_in_front_changes_nothing(viewer, look):
    for face in look.faces:
        image, fraction = viewer.occlude(face, 'hand', 0)
        assert fraction == 0
        assert np.array_equal(image, face.crop)
        again, = viewer.predict('orsanet_lite', [image])
        assert again.scores == pytest.approx(face.scores, abs=1e-5)


def test_variants_are_at_other_places(viewer, look):
    images = [
        viewer.occlude(look.faces[0], 'hand', 2, v)[0] for v in (1, 2, 1)
    ]
    assert (images[0] != images[1]).mean() > .05
    assert np.array_equal(images[0], images[2])


def test_a_second_model_is_loaded_at_its_first_prediction(
        inferencer, second, look):
    load = mock.Mock(return_value=second)
    viewer = Viewer('first', inferencer, dict(other=load))
    crops = [face.crop for face in look.faces]
    assert not load.called
    for _ in range(2):
        said = viewer.predict('other', crops)
    load.assert_called_once_with()
    direct = second(crops, aligned=True)['predictions']
    for one, result in zip(said, direct):
        assert one.scores == result.faces[0].scores
    with pytest.raises(Refusal, match='no model'):
        viewer.predict('configs/orsanet_rafdb.py', crops)
    viewer.others['bad'] = mock.Mock(side_effect=ValueError('of 5 classes'))
    with pytest.raises(Refusal, match='“bad”.* 5 classes'):
        viewer.predict('bad', crops)


def test_what_cannot_be_looked_at_is_refused(viewer, people, tmp_path):
    whole = people.read_bytes()
    cases = {
        'empty.png': (b'', 'is empty'),
        'cut.png': (whole[:2000], 'damaged or cut off'),
        'text.jpg': (b'no picture', ''),
        'clip.mp4': (whole, "'orsa video'"),
        # a PNG that says it has 60,000 x 60,000 pixels
        'bomb.png': (whole[:16] + b'\x00\x00\xea\x60' * 2 + whole[24:], ''),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(
                Refusal, match=f'“{name}” cannot be read.*'
                f'{reason}'):
            viewer.find(str(path))
    cv2.imwrite(str(path), np.full((90, 120, 3), 128, np.uint8))
    with pytest.raises(Refusal, match='No face was found'):
        viewer.find(str(path))
    with pytest.raises(Refusal, match='120 × 90 pixels'):
        viewer.find(str(path), aligned=True)


def test_the_map_of_where_it_looks(viewer, look, steps):
    crop, maps = look.faces[0].crop, {}
    assert viewer.maps == list(MAPS)
    for of in viewer.maps:
        seen, heat, shares = viewer.attention(crop, of)
        assert seen.shape[:2] == heat.shape and seen.dtype == np.uint8
        # of the fused map nothing may speak for an expression
        assert heat.min() >= 0 and (of == 'fused' and heat.max() == 0
                                    or heat.max() == pytest.approx(1, abs=.02))
        assert (shares is None) == (of != 'landmarks')
        maps[of] = heat
    with mock.patch.object(
            viewer, 'attention', return_value=(Attention(seen, 0 * heat,
                                                         None))):
        assert 'is empty' in steps.heat(look, 0, 'fused')[1]
    # they are three maps, not one under three names
    for one, other in itertools.combinations(maps.values(), 2):
        assert np.abs(one - other).mean() > .05
    # the model sees the crop, of another size and without its colours
    small = cv2.resize(crop, seen.shape[1::-1])
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)[..., None]
    assert np.abs(grey.astype(int) - seen).mean() < 8


def test_the_map_of_landmarks_is_that_of_the_tool(viewer, look):
    crop = look.faces[0].crop
    model = viewer.inferencer.model
    inputs = prepare(model, [crop])['inputs']
    shares = cross_attention(model, inputs).weights[0].mean(0).numpy()
    _, heat, (lowest, highest) = viewer.attention(crop, 'landmarks')
    assert (lowest, highest) == pytest.approx((shares.min(), shares.max()))
    # the yellowest place of the map lies in the place with the largest share
    place = np.unravel_index(shares.argmax(), shares.shape)
    spot = np.unravel_index(heat.argmax(), heat.shape)
    assert tuple(
        s * n // side
        for s, n, side in zip(spot, shares.shape, heat.shape)) == place
    assert f'{highest:.1%}' in render('heat_note', 'landmarks',
                                      (lowest, highest))


def test_what_is_saved_is_what_is_shown(viewer, look, tmp_path):
    drawing, table = viewer.save(look, str(tmp_path))
    assert cv2.imread(drawing).shape == look.drawing.shape
    lines = open(table).read().splitlines()
    assert len(lines) == 1 + 3 and lines[0].startswith('file,frame,time,face')


def test_other_models_have_fewer_maps(second, look):
    viewer = Viewer('baseline', second)
    assert viewer.maps == ['image']
    for of in ('fused', 'landmarks', 'x'):
        with pytest.raises(ValueError):
            viewer.attention(look.faces[0].crop, of)


def test_no_step_raises(steps, viewer, look, people):
    with mock.patch.object(
            viewer, 'find', side_effect=MemoryError('too large')):
        state, message, *_ = steps.find(str(people), False)
    assert state is None and 'MemoryError: too large' in message
    assert 'role="alert"' in message
    with mock.patch.object(viewer, 'predict', side_effect=RuntimeError('<b>')):
        image, message, *_ = steps.occlude(look, 0, 'hand', 2, 1, 'none')
    assert image is None and '&lt;b&gt;' in message
    # a page that was open before the server began anew sends anything
    assert 'IndexError' in steps.face(look, 9)[0]
    assert 'no model' in steps.occlude(look, 0, 'hand', 2, 1, '/etc/x.py')[1]
    assert 'unknown occluders' in steps.occlude(look, 0, 'x', 2, 1, 'none')[1]
    assert 'IndexError' in steps.heat(look, 9, 'image')[1]
    assert steps.heat(None, 0, 'image') == (None, '')
    assert steps.face(None, 0)[0] == '' and steps.find(None, False)[0] is None


def test_a_model_without_a_map_says_so(steps, viewer, look):
    with mock.patch.object(
            viewer, 'attention', side_effect=ValueError('it is frozen')):
        heat, note = steps.heat(look, 0, 'image')
        scores, points, parts, _ = steps.face(look, 0)
    assert heat is None and 'it is frozen' in note
    assert 'table' in scores and points.shape == parts.shape[:2] + (3, ) or (
        points.ndim == parts.ndim == 3)


def test_bars_show_the_numbers_and_escape(look):
    first = dict(joy=.7, fear=.3)
    html = render('bars', '<x>', [('a', first), ('b', dict(joy=.2, fear=.8))])
    widths = [float(w) for w in re.findall(r'width:([\d.]+)%', html)]
    assert widths == [70, 20, 30, 80]
    assert re.findall(r'<span>(\d+%)', html) == ['70%', '20%', '30%', '80%']
    assert '<x>' not in html and '&lt;x&gt;' in html
    evil = '<img src=x onerror=alert(1)>.png'
    assert '<img' not in render('error', f'“{evil}” cannot be read.')
    face = look.faces[0]
    face = type(face)(**{**vars(face), 'reasons': ('low confidence', )})
    said = render('verdict', face)
    assert 'abstains' in said and 'low confidence' in said
    assert face.expression in said


def test_kinds_offered_are_those_of_the_transform(viewer, look):
    for kind in OccludeFace.KINDS:
        assert viewer.occlude(look.faces[0], kind, 3)[1] > .05


def test_without_pytorch_there_is_less_to_see(people):
    viewer = Viewer('orsanet_face', FERInferencer(backend='onnx'))
    assert not viewer.explains
    assert viewer.find(str(people)).num_found == 3
    gradio = pytest.importorskip('gradio')
    from orsa.web.page import build_page
    labels = {
        getattr(block, 'label', None)
        for block in build_page(viewer, False, 1).blocks.values()
    }
    assert {'Face', 'Landmarks', 'Face regions'} <= labels
    assert not {'Attention', 'Occluder', 'Severity'} & labels
    assert gradio


def test_several_files_at_once(viewer, people, tmp_path):
    frame = cv2.imread(str(people))
    clip, bad = str(tmp_path / 'clip.mp4'), tmp_path / 'bad.png'
    writer = cv2.VideoWriter(clip, cv2.VideoWriter_fourcc(*'mp4v'), 10,
                             frame.shape[1::-1])
    for _ in range(3):
        writer.write(frame)
    writer.release()
    bad.write_bytes(b'no image')
    done = viewer.process([str(people), clip, str(bad)], str(tmp_path))
    assert (done.images, done.faces, done.frames) == (2, 3, 3)
    assert len(done.errors) == 1 and 'bad.png' in done.errors[0]
    with zipfile.ZipFile(done.archive) as archive:
        names = set(archive.namelist())
    assert {
        'predictions.csv', 'clip_faces.mp4', 'clip_faces.csv',
        'three_people_faces.jpg'
    } <= names
    assert 'bad.png' in render('batch', done, 120)
    with zipfile.ZipFile(done.archive) as archive:
        for name in ('predictions.csv', 'clip_faces.csv'):
            assert str(people.parent) not in archive.read(name).decode()
    with pytest.raises(Refusal, match=str(MOST_FILES)):
        viewer.process(['x.png'] * (MOST_FILES + 1), str(tmp_path))


def test_faces_by_size_and_by_the_detector(viewer, people, look):
    widths = [face.box[2] - face.box[0] for face in look.faces]
    some = viewer.find(str(people), min_face=sum(widths[:2]) / 2)
    assert some.num_found == 1
    with pytest.raises(Refusal, match='3 smaller'):
        viewer.find(str(people), min_face=900)
    best = max(face.detection_score for face in look.faces)
    assert viewer.detector_score == .7 < best
    assert viewer.find(str(people), detector_score=.3).num_found >= 3
    with pytest.raises(Refusal, match='No face'):
        viewer.find(str(people), detector_score=best + .01)
    assert viewer.detector_score == .7
