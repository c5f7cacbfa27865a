# Copyright (c) orsa contributors. All rights reserved.
"""All faces of many images are predicted as one aligned face is."""
import io
import json
import pickle

import cv2
import numpy as np
import pytest
import torch

from orsa.apis import (Calibration, FERInferencer, align_face, init_model,
                       landmark_locator, predict_faces)
from orsa.datasets.transforms import OccludeFace
from orsa.evaluation.calibration import LOW_CONFIDENCE, OCCLUDED
from orsa.faces.align import crop_face
from orsa.faces.images import list_images
from orsa.faces.points import map_points
from orsa.utils import own_files
from orsa.utils.classes import RAFDB_CLASSES

NAMES = ('test_00060', 'test_00130', 'test_00033', 'test_00250')
PLAIN = Calibration(min_confidence=0., max_covered=1.)


@pytest.fixture(scope='module')
def model():
    return init_model('orsanet_lite')


@pytest.fixture(scope='module')
def faces(faces_dir):
    folder = faces_dir / 'basic/Image/aligned'
    return [cv2.imread(str(folder / f'{n}_aligned.jpg')) for n in NAMES]


@pytest.fixture(scope='module')
def group(faces):
    """Four faces side by side, and where they are."""
    photo = np.full((300, 900, 3), 110, np.uint8)
    boxes = []
    for k, face in enumerate(faces):
        side = 150 + 10 * k
        x, y = 20 + 215 * k, 50
        photo[y:y + side, x:x + side] = cv2.resize(face, (side, side))
        boxes.append([x, y, x + side, y + side])
    return photo, np.array(boxes, np.float32)


def test_the_same_as_face_by_face(model, group):
    photo, boxes = group
    inferencer = FERInferencer(
        model, detector=lambda image: boxes, calibration=PLAIN)
    result, = inferencer(photo)['predictions']
    locate = landmark_locator(model)
    assert len(result.faces) == 4 and result.size == (900, 300)
    for face, box in zip(result.faces, boxes):
        crop, matrix = align_face(photo, box, locate)
        alone, = predict_faces(model, [crop])
        np.testing.assert_array_equal(face.crop, crop)
        np.testing.assert_allclose(face.matrix, matrix, atol=1e-4)
        np.testing.assert_allclose(
            list(face.scores.values()), list(alone.scores.values()), atol=1e-4)
        np.testing.assert_allclose(
            face.crop_landmarks, alone.landmarks, atol=1e-2)
        assert (face.parsing == alone.parsing).mean() > .999
        assert face.covered == pytest.approx(alone.covered, abs=1e-4)
        assert tuple(face.scores) == RAFDB_CLASSES and not face.abstain
        # the landmarks are in the photograph, inside the box
        inside = (face.landmarks[:, :2] > box[:2] - 5) & (
            face.landmarks[:, :2] < box[2:] + 5)
        assert inside.mean() > .95


def test_batches_go_across_images(model, group, monkeypatch):
    photo, boxes = group
    sizes = []
    from orsa.apis import torch_inference
    real = torch_inference.prepare
    monkeypatch.setattr(
        torch_inference, 'prepare', lambda model, crops:
        (sizes.append(len(crops)), real(model, crops))[1])
    inferencer = FERInferencer(model, detector=lambda image: boxes)
    found = inferencer([photo] * 4, batch_size=8)['predictions']
    assert [len(one.faces) for one in found] == [4] * 4
    # twice for aligning, once for the answer; eight faces of two pictures
    assert sizes == [8] * 6
    for one in found[1:]:
        for a, b in zip(one.faces, found[0].faces):
            assert a.scores == pytest.approx(b.scores, abs=1e-5)


def test_files_of_all_kinds_in_one_go(model, group, tmp_path):
    photo, boxes = group
    cv2.imwrite(str(tmp_path / 'b_photo.png'), photo)
    cv2.imwrite(str(tmp_path / 'c_none.png'), photo[:40, :60])
    (tmp_path / 'a_cut.jpg').write_bytes(b'\xff\xd8\xff\xe0 broken')
    (tmp_path / 'd_empty.jpg').write_bytes(b'')
    found = FERInferencer(model)([str(tmp_path), 'nowhere.jpg',
                                  photo[..., 0]])['predictions']
    names = [one.name.rsplit('/')[-1] for one in found]
    assert names == [
        'a_cut.jpg', 'b_photo.png', 'c_none.png', 'd_empty.jpg', 'nowhere.jpg',
        'array 0'
    ]
    errors = [one.error for one in found]
    assert 'do not decode' in errors[0] and errors[1] is errors[2] is None
    assert errors[3] == 'the file is empty' and 'no such' in errors[4]
    counts = [len(one.faces) for one in found]
    assert counts[0] == counts[2] == counts[3] == counts[4] == 0
    # the cascade finds most of the faces, in grey too
    assert counts[1] >= 3 and counts[5] >= 3
    for face in found[1].faces:
        middle = np.reshape(face.box, (2, 2)).mean(0)
        nearest = np.abs(boxes.reshape(4, 2, 2).mean(1) - middle).sum(1).min()
        assert nearest < 40


def test_a_detector_that_fails_stops_nothing(model, group):
    photo, boxes = group

    def detector(image):
        if image.shape[0] < 100:
            raise RuntimeError('out of memory\nand more')
        return boxes[:1]

    found = FERInferencer(
        model, detector=detector)([photo[:50], photo])['predictions']
    assert found[0].error == 'the detector failed: out of memory'
    assert len(found[1].faces) == 1


def test_aligned_faces(model, faces):
    found = FERInferencer(
        model, calibration=PLAIN)([*faces, faces[0][:100]],
                                  aligned=True)['predictions']
    alone = predict_faces(model, faces)
    for one, other in zip(found, alone):
        assert one.faces[0].box == (0, 0, 128, 128)
        assert one.faces[0].scores == pytest.approx(other.scores, abs=1e-5)
        np.testing.assert_allclose(
            one.faces[0].landmarks, other.landmarks, atol=1e-3)
    assert 'an aligned face is square' in found[4].error


def test_five_points_of_a_detector_are_used(model, group, faces_dir):
    """A box that is off does no harm then."""
    from orsa.utils.face_regions import five_points
    photo, boxes = group
    points = json.loads((faces_dir / 'landmarks68.json').read_text())
    five = np.stack([
        five_points(np.array(points[n])) * (b[2] - b[0]) / 128 + b[:2]
        for n, b in zip(NAMES, boxes)
    ])
    rows = np.hstack([
        boxes + (30, 40, 0, 0),
        np.full((4, 1), .8),
        five.reshape(4, 10),
    ])
    found = FERInferencer(
        model, detector=lambda image: rows)(photo)['predictions'][0].faces
    for face, name, box in zip(found, NAMES, boxes):
        scale = (box[2] - box[0]) / 128
        truth = np.array(points[name])
        there = map_points(truth * scale + box[:2], face.matrix)
        assert np.linalg.norm(there - truth, axis=1).mean() < 6
        assert face.detection_score == pytest.approx(.8)


def test_abstains_and_says_why(model, faces):
    sure = FERInferencer(model, min_confidence=0., max_occluded=1.)
    assert not any(
        f.abstain for one in sure(faces, aligned=True)['predictions']
        for f in one.faces)
    unsure = FERInferencer(model, min_confidence=1., max_occluded=1.)
    face = unsure(faces[:1], aligned=True)['predictions'][0].faces[0]
    assert face.reasons == (LOW_CONFIDENCE, ) and face.abstain
    hidden = OccludeFace(5, 'scarf')(dict(img=faces[0], name='a'))
    shares = [
        sure([image], aligned=True)['predictions'][0].faces[0].covered
        for image in (faces[0], hidden['img'])
    ]
    # what is truly covered, as far as this parser can see
    assert shares[0] < .15 and shares[1] == pytest.approx(
        hidden['occlusion_ratio'], abs=.2)
    with pytest.warns(DeprecationWarning, match='max_occluded'):
        strict = FERInferencer(model, min_confidence=0., max_covered=.3)
    face = strict([hidden['img']], aligned=True)['predictions'][0].faces[0]
    assert face.reasons == (OCCLUDED, )


def test_calibration_changes_scores_not_their_order(model, faces):
    plain = FERInferencer(model, calibration=PLAIN)
    hot = FERInferencer(model, calibration=Calibration(3.))
    for a, b in zip(
            plain(faces, aligned=True)['predictions'],
            hot(faces, aligned=True)['predictions']):
        a, b = a.faces[0].scores, b.faces[0].scores
        assert sorted(a, key=a.get) == sorted(b, key=b.get)
        expected = np.array(list(a.values()))**(1 / 3)
        np.testing.assert_allclose(
            list(b.values()), expected / expected.sum(), rtol=1e-4)
    # by name, the calibration that ships is taken
    assert FERInferencer().calibration.fitted_on


def test_occluded_fraction_agrees_with_the_occluders(model, faces_dir):
    """On drawn occluders of all strengths: as docs/inference.md says."""
    folder = faces_dir / 'basic/Image/aligned'
    inferencer = FERInferencer(model)
    crops, truth = [], []
    for i in range(6):
        image = cv2.imread(str(folder / f'test_{20 * i + 5:05d}_aligned.jpg'))
        for severity in range(6):
            sample = OccludeFace(severity, ('hand', 'block', 'scarf'))(
                dict(img=image, name=f'{i}'))
            crops.append(sample['img'])
            truth.append(sample['occlusion_ratio'])
    found = inferencer(crops, aligned=True)['predictions']
    said = [one.faces[0].covered for one in found]
    assert np.corrcoef(truth, said)[0, 1] > .75


def test_the_part_that_is_seen_is_said(faces_dir, mask_folders):
    """Of worn masks the eyes, of drawn sunglasses the mouth."""
    inferencer = FERInferencer('orsanet_face')
    folder = mask_folders / 'masked_faces'
    names = (folder / 'test.txt').read_text().split()[:20]
    found = inferencer([folder / f'images/{n}.jpg' for n in names])
    parts = [f.part for r in found['predictions'] for f in r.faces]
    assert len(parts) == 20 and parts.count('eyes only') >= 17
    aligned = [
        cv2.imread(str(faces_dir / f'basic/Image/aligned/{n}_aligned.jpg'))
        for n in NAMES
    ]
    dark = [
        OccludeFace(4, 'sunglasses')(dict(img=a, name=n))['img']
        for a, n in zip(aligned, NAMES)
    ]
    found = inferencer(aligned + dark, aligned=True)['predictions']
    parts = [r.faces[0].part for r in found]
    assert parts == [None] * 4 + ['mouth only'] * 4
    row, = found[-1].to_dicts()
    assert row['part'] == 'mouth only' and row['visible']['mouth'] > .5


def test_json_and_drawings(model, group):
    photo, boxes = group
    inferencer = FERInferencer(model, detector=lambda image: boxes)
    found = inferencer([photo, 'nowhere.png'], return_vis=True)
    drawing, none = found['visualization']
    assert drawing.shape == photo.shape and none is None
    assert (drawing != photo).any() and found['predictions'][0].image is None
    rows = json.loads(json.dumps(found['predictions'][0].to_dicts()))
    assert [r['face'] for r in rows] == [1, 2, 3, 4]
    assert rows[0]['box'] == boxes[0].tolist()
    assert sum(rows[0]['scores'].values()) == pytest.approx(1, abs=1e-3)
    assert sum(rows[0]['parsing'].values()) == pytest.approx(1, abs=1e-2)
    assert len(rows[0]['landmarks']) == 68
    kept = inferencer(photo, keep_images=True)['predictions'][0]
    np.testing.assert_array_equal(kept.image, photo)
    assert inferencer([])['predictions'] == []


def test_embeddings_are_what_the_classifier_gets(model, group):
    photo, boxes = group
    inferencer = FERInferencer(
        model, detector=lambda image: boxes, calibration=PLAIN)
    faces = inferencer(photo, return_embedding=True)['predictions'][0].faces
    logits = model.head.fc(
        torch.tensor(np.stack([f.embedding for f in faces])))
    torch.testing.assert_close(
        logits.softmax(1),
        torch.tensor([list(f.scores.values()) for f in faces]),
        atol=1e-5,
        rtol=0)
    assert inferencer(photo)['predictions'][0].faces[0].embedding is None


def test_a_table_of_the_faces(model, group):
    pytest.importorskip('pandas')
    photo, boxes = group
    inferencer = FERInferencer(model, detector=lambda image: boxes)
    found = inferencer([photo, 'nowhere.png', photo])['predictions']
    table = found.to_dataframe()
    assert list(table['file'].unique()) == ['array 0', 'array 1']
    assert list(table['face']) == [1, 2, 3, 4] * 2
    face = found[0].faces[2]
    row = table.iloc[2]
    assert row['expression'] == face.expression == face.top(1)[0][0]
    assert row[list(inferencer.classes)].sum() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        table[['x0', 'y0', 'x1', 'y1']][:4].to_numpy(float), boxes, atol=.05)
    assert len(inferencer([])['predictions'].to_dataframe()) == 0
    # short enough to be looked at
    assert len(repr(face)) < 90 and face.expression in repr(face)
    assert 'no such file' in repr(found[1])
    assert len(repr(found[0])) < 500


def test_a_model_without_landmarks(group):
    from mmengine.config import Config
    photo, boxes = group
    backbone = dict(
        type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(4, 8)))
    plain = init_model(
        Config(
            dict(
                model=dict(
                    type='ImageClassifier',
                    data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3),
                    backbone=backbone,
                    neck=dict(type='GlobalAveragePooling'),
                    head=dict(
                        type='LinearClsHead', num_classes=7, in_channels=8)),
                test_dataloader=dict(
                    dataset=dict(
                        classes=RAFDB_CLASSES,
                        pipeline=[
                            dict(type='LoadImageFromFile'),
                            dict(type='Resize', scale=(32, 32)),
                            dict(type='PackInputs')
                        ])))))
    inferencer = FERInferencer(plain, detector=lambda image: boxes)
    face = inferencer(photo)['predictions'][0].faces[0]
    np.testing.assert_array_equal(face.crop,
                                  crop_face(photo, boxes[0], 128)[0])
    assert face.landmarks is face.parsing is face.covered is None
    assert face.to_dict()['landmarks'] is None
    with pytest.raises(ValueError, match='weights'):
        FERInferencer(plain, 'weights.pth')


def test_a_generator_is_asked_piece_by_piece(model, group):
    """Pictures that do not fit into memory together; open files too."""
    photo, boxes = group
    data = cv2.imencode('.jpg', photo)[1].tobytes()
    asked = []

    def some():
        for k in range(6):
            asked.append(k)
            yield [photo, data, io.BytesIO(data[:-2])][k % 3]

    inferencer = FERInferencer(model, detector=lambda image: boxes)
    results = inferencer.stream(some(), batch_size=4)
    first = next(results)
    assert len(first.faces) == 4 and len(asked) < 3
    names = [one.name for one in (first, *results)]
    assert names == [
        'array 0', 'bytes 1', 'file 2', 'array 3', 'bytes 4', 'file 5'
    ]
    assert inferencer(io.BytesIO(
        data[:-2]))['predictions'][0].notes == ('its end marker is missing', )


def test_what_is_refused(model, group):
    with pytest.raises(ValueError, match='weights'):
        FERInferencer('orsa::orsanet_lite_rafdb.py')
    with pytest.raises(ValueError, match="'orsanet_huge'"):
        FERInferencer('orsanet_huge')
    with pytest.raises(ValueError, match='face_size'):
        FERInferencer(model, face_size=3)
    with pytest.raises(ValueError, match='max_covered'):
        FERInferencer(model, max_occluded=2.)
    inferencer = FERInferencer(model)
    with pytest.raises(TypeError, match='colour'):
        inferencer(group[0], colour='red')
    with pytest.raises(ValueError, match='return_datasamples'):
        inferencer(group[0], return_datasamples=True)
    with pytest.raises(ValueError, match='batch_size'):
        inferencer(group[0], batch_size=0)
    with pytest.raises(TypeError, match='dict'):
        inferencer({})


def test_a_model_brings_its_calibration(tmp_path, monkeypatch):
    inferencer = FERInferencer(init_model('orsanet_face'))
    assert inferencer.calibration == FERInferencer().calibration
    # but not to other weights
    changed = init_model('orsanet_face')
    torch.nn.init.normal_(changed.head.fc.weight)
    assert FERInferencer(changed).calibration == Calibration()
    assert FERInferencer(backend='onnx', device=torch.device('cpu')).classes
    # a folder of the model's name is no config
    (tmp_path / 'orsanet_face').mkdir()
    monkeypatch.chdir(tmp_path)
    assert FERInferencer().classes == inferencer.classes
    with pytest.raises(ValueError, match="device='cuda'|device of an ONNX"):
        FERInferencer(backend='onnx', device='cuda')
    with pytest.raises(ValueError, match="'mps'"):
        FERInferencer(backend='onnx', device='mps')


def test_what_cannot_be_opened_does_not_end_the_listing(
        group, tmp_path, monkeypatch):
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), group[0])

    def refuse(path, *args, **kwargs):
        if str(path).endswith('b.png'):
            raise PermissionError(13, 'Permission denied', path)
        return open(path, *args, **kwargs)

    monkeypatch.setattr(own_files, 'open', refuse, raising=False)
    assert not own_files.is_own_file(str(tmp_path / 'b.png'))
    # decoding is not what is patched: both are read
    assert [s.error for s in list_images(str(tmp_path))] == [None, None]


def test_pickles_with_its_weights(model, faces):
    """As other processes get it; each builds its own network."""
    inferencer = FERInferencer(model, min_confidence=.3)
    again = pickle.loads(pickle.dumps(inferencer))
    assert again.model is not model and again.classes == inferencer.classes
    assert again.calibration == inferencer.calibration
    assert again.origin() == inferencer.origin()
    one, other = (
        f(faces[0], aligned=True)['predictions'][0].faces[0]
        for f in (inferencer, again))
    assert one.scores == other.scores
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
