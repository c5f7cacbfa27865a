# Copyright (c) orsa contributors. All rights reserved.
"""press_faces are rebuilt as they were measured, or not at all."""
import csv
import gzip
import json
import runpy
import sys

import cv2
import numpy as np
import pytest

from orsa.datasets import RAFDB
from orsa.datasets.press_faces import (align, decode_mask, identity_of,
                                       load_annotations, rebuild)

LIST = 'basic/EmoLabel/list_patition_label.txt'


@pytest.fixture(scope='module')
def annotations():
    return load_annotations()


@pytest.fixture(scope='module')
def chosen(annotations):
    """Some faces of either split."""
    return annotations[:3] + annotations[-3:]


@pytest.fixture
def annotation_file(tmp_path, chosen):
    path = tmp_path / 'annotations.json.gz'
    with gzip.open(path, 'wt') as f:
        json.dump(chosen, f)
    return str(path)


def write_clone(root, faces, picture):
    """A clone whose pictures, warped by the annotations, are known."""
    (root / 'images').mkdir(parents=True)
    for face in faces:
        source = cv2.warpAffine(
            picture(face),
            np.array(face['affine']), (500, 500),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        # without loss, whatever the name says
        data = cv2.imencode('.png', source)[1]
        (root / 'images' / face['source']).write_bytes(data.tobytes())
    return str(root)


def gradient(face):
    """A picture of its own for every face, smooth, so warping keeps it."""
    y, x = np.mgrid[:128, :128]
    shade = hash_of(face) * 10
    return np.stack([x + shade, y + shade, 200 - x / 2 - y / 2],
                    -1).clip(0, 255).astype(np.uint8)


def hash_of(face):
    return int(face['name'][-1])


def inside(face):
    """The aligned pixels that come from inside the 500 x 500 source."""
    white = np.full((500, 500, 3), 255, np.uint8)
    seen = align(white, face['affine'])[..., 0]
    # the rim of the source is mixed with black
    return cv2.erode(seen, np.ones((5, 5))) == 255


def test_rebuilds_the_layout(tmp_path, chosen, annotation_file):
    clone = write_clone(tmp_path / 'clone', chosen, gradient)
    out = tmp_path / 'new' / 'faces'
    result = rebuild(clone, str(out), annotation_file)
    assert result['written'] == [face['name'] for face in chosen]
    assert result['missing'] == []
    for face in chosen:
        name = face['name']
        image = cv2.imread(
            str(out / f'basic/Image/aligned/{name}_aligned.jpg'))
        assert image.shape == (128, 128, 3)
        expected = gradient(face).astype(float)
        error = abs(image - expected)[2:-2, 2:-2][inside(face)[2:-2, 2:-2]]
        assert error.size > 3 * 8000 and error.mean() < 2, name
        # a source that ends within the frame leaves it black
        outside = align(np.full((500, 500, 3), 255, np.uint8),
                        face['affine'])[..., 0] == 0
        assert outside.sum() == 0 or image[outside].mean() < 8

    dataset = RAFDB(str(out), split='train', with_annotations=True)
    assert [dataset.CLASSES[i] for i in dataset.get_gt_labels()
            ] == [face['expression'] for face in chosen[:3]]
    info = dataset.get_data_info(1)
    assert np.allclose(info['gt_keypoints'][0], chosen[1]['landmarks68'])
    assert not list(tmp_path.glob('new/.press_faces_*'))


def test_same_as_the_faces_that_were_measured(tmp_path, chosen, annotations,
                                              annotation_file, faces_dir):

    def picture(face):
        return cv2.imread(
            str(faces_dir / f"basic/Image/aligned/{face['name']}_aligned.jpg"))

    clone = write_clone(tmp_path / 'clone', chosen, picture)
    out = tmp_path / 'out'
    rebuild(clone, str(out), annotation_file)
    points = json.loads((faces_dir / 'landmarks68.json').read_text())
    rebuilt = json.loads((out / 'landmarks68.json').read_text())
    listed = (faces_dir / LIST).read_text().split('\n')
    with open(faces_dir / 'sources.csv', newline='') as f:
        sources = {row['name']: row for row in csv.DictReader(f)}
    with open(out / 'sources.csv', newline='') as f:
        rows = list(csv.DictReader(f))
    assert [row['name'] for row in rows] == list(rebuilt)
    for face, row in zip(chosen, rows):
        name = face['name']
        assert rebuilt[name] == points[name]
        assert row == sources[name]
        masks = [
            cv2.imread(
                str(root / f'parsing/{name}.png'), cv2.IMREAD_UNCHANGED)
            for root in (out, faces_dir)
        ]
        assert masks[0].dtype == np.uint8 and (masks[0] == masks[1]).all()
    assert set((out / LIST).read_text().split('\n')) <= set(listed)
    # all the rest of what is shipped, without the pictures
    assert [face['name'] for face in annotations] == list(points)
    assert all(points[f['name']] == f['landmarks68'] for f in annotations)
    assert all(sources[f['name']]['identity'] == identity_of(f['source'])
               for f in annotations)
    assert listed == [
        f'{name}.jpg {RAFDB.METAINFO["classes"].index(row["expression"]) + 1}'
        for name, row in sources.items()
    ] + ['']


def test_align_maps_source_to_aligned_pixels():
    source = np.random.default_rng(0).integers(
        0, 256, (200, 200, 3), dtype=np.uint8)
    moved = align(source, [[1, 0, -20], [0, 1, -30]])
    assert (moved == source[30:158, 20:148]).all()
    border = align(source, [[1, 0, 10], [0, 1, 0]])
    assert (border[:, :10] == 0).all() and border[:, 10:].any()


def test_decode_mask_is_row_major():
    mask = decode_mask([[0, 3], [5, 2], [1, 4]], size=3)
    assert mask.tolist() == [[0, 0, 0], [5, 5, 1], [1, 1, 1]]
    with pytest.raises(ValueError, match='8 pixels'):
        decode_mask([[0, 8]], size=3)


def test_missing_and_broken_sources(tmp_path, chosen, annotation_file):
    clone = write_clone(tmp_path / 'clone', chosen, gradient)
    gone, broken = chosen[0]['source'], chosen[4]['source']
    (tmp_path / 'clone/images' / gone).unlink()
    (tmp_path / 'clone/images' / broken).write_bytes(b'no image')
    out = tmp_path / 'out'
    with pytest.raises(FileNotFoundError, match=f'2 of 6 .*{gone}, {broken}'):
        rebuild(clone, str(out), annotation_file)
    assert not out.exists()
    result = rebuild(clone, str(out), annotation_file, skip_missing=True)
    assert result['missing'] == [gone, broken]
    assert len(result['written']) == 4
    assert len((out / LIST).read_text().splitlines()) == 4
    assert not (out / f"parsing/{chosen[0]['name']}.png").exists()


def test_nothing_is_left_half_written(tmp_path, chosen, annotation_file,
                                      monkeypatch):
    clone = write_clone(tmp_path / 'clone', chosen, gradient)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/mine.txt').write_text('x')
    with pytest.raises(FileExistsError, match='not empty'):
        rebuild(clone, str(tmp_path / 'out'), annotation_file)

    def full_disk(*args, **kwargs):
        raise OSError('no space left')

    before = sorted(p.name for p in tmp_path.iterdir())
    monkeypatch.setattr('orsa.datasets.press_faces.json.dump', full_disk)
    with pytest.raises(OSError, match='no space left'):
        rebuild(clone, str(tmp_path / 'other'), annotation_file)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_bad_annotations(tmp_path, chosen):
    path = tmp_path / 'a.json.gz'
    with pytest.raises(FileNotFoundError, match='a.json.gz'):
        load_annotations(str(path))
    path.write_bytes(b'no gzip')
    with pytest.raises(ValueError, match='cut off'):
        load_annotations(str(path))

    for change, message in [(dict(name='../train_1'), 'bad name'),
                            (dict(source='../x.jpg'), 'bad source'),
                            (dict(expression='joy'), "expression 'joy'")]:
        with gzip.open(path, 'wt') as f:
            json.dump([dict(chosen[0], **change)], f)
        with pytest.raises(ValueError, match=message):
            load_annotations(str(path))


def test_script(repo_root, tmp_path, chosen, annotation_file, monkeypatch,
                capsys):
    clone = write_clone(tmp_path / 'clone', chosen, gradient)
    (tmp_path / 'clone/images' / chosen[0]['source']).unlink()
    script = str(repo_root / 'tools/dataset_converters/press_faces.py')
    args = [
        script, clone,
        str(tmp_path / 'out'), '--annotations', annotation_file
    ]
    monkeypatch.setattr(sys, 'argv', args)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(script, run_name='__main__')
    assert stopped.value.code == 2
    assert chosen[0]['source'] in capsys.readouterr().err

    monkeypatch.setattr(sys, 'argv', args + ['--skip-missing'])
    runpy.run_path(script, run_name='__main__')
    printed = capsys.readouterr().out
    assert chosen[0]['source'] in printed
    assert 'wrote 5 faces' in printed and '(2 train, 3 test)' in printed
