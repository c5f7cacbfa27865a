# Copyright (c) orsa contributors. All rights reserved.
"""The demo occludes the face of a photograph, and nothing else of it."""
import runpy

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='module')
def main(repo_root):
    return runpy.run_path(str(repo_root / 'demo/occlusion_demo.py'))['main']


def test_each_panel_is_the_photograph_and_an_occluder(main, faces_dir,
                                                      tmp_path, capsys):
    face = cv2.imread(
        str(faces_dir / 'basic/Image/aligned/test_00060_aligned.jpg'))
    photo = np.full((480, 640, 3), 110, np.uint8)
    photo[100:356, 200:456] = cv2.resize(face, (256, 256))
    cv2.imwrite(str(tmp_path / 'photo.png'), photo)
    out = tmp_path / 'out.png'
    assert main([str(tmp_path / 'photo.png'), '--out', str(out)]) == 0
    plain, *occluded = np.hsplit(cv2.imread(str(out)).astype(int), 4)
    changed = [(abs(panel - plain).max(2) > 8).mean() for panel in occluded]
    assert all(.01 < ratio < .5 for ratio in changed)
    lines = capsys.readouterr().out.splitlines()
    names = [line.split(':')[0] for line in lines[-4:]]
    assert names == ['as it is', 'sunglasses', 'mask', 'scarf']


def test_a_photograph_without_a_face_is_named(main, tmp_path):
    path = str(tmp_path / 'grey.png')
    cv2.imwrite(path, np.full((90, 90, 3), 110, np.uint8))
    with pytest.raises(ValueError, match=r'grey\.png.*face'):
        main([path, '--out', str(tmp_path / 'out.png')])
