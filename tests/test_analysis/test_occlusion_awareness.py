# Copyright (c) orsa contributors. All rights reserved.
"""The protocol of occlusion awareness: areas by hand, and the command."""
import json

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from orsa.analysis.occlusion_awareness import auc_by_type, photographs


def test_areas_by_hand():
    # of 4 x 2 pairs of headwear and nothing 6 are in order, one is a tie
    covered = [.1, .2, .15, .2, .3, .4, .05, .9]
    types = ['nothing'] * 2 + ['headwear'] * 4 + ['glasses', 'sunglasses']
    found = auc_by_type(covered, types)
    assert list(found) == [
        'nothing', 'glasses', 'sunglasses', 'headwear', 'all but glasses'
    ]
    assert found['headwear']['auc'] == (1 + 1.5 + 2 + 2) / 8
    assert found['glasses']['auc'] == 0 and found['sunglasses']['auc'] == 1
    assert found['all but glasses']['auc'] == (6.5 + 2) / 10
    assert found['all but glasses']['faces'] == 5
    assert found['nothing']['mean'] == pytest.approx(.15)
    low, high = found['headwear']['interval']
    assert low < found['headwear']['auc'] < high


def test_areas_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    covered = np.round(rng.random(200), 1)  # with ties
    types = np.where(rng.random(200) < .3, 'hair', 'nothing')
    found = auc_by_type(covered, types)['hair']
    assert found['auc'] == pytest.approx(
        roc_auc_score(types == 'hair', covered))
    # as wide as the normal approximation has it
    positive, negative = (types == 'hair').sum(), (types != 'hair').sum()
    error = ((positive + negative + 1) / (12 * positive * negative))**.5
    low, high = found['interval']
    assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=.25)


def test_a_photograph_that_is_missing_is_named(tmp_path):
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.png'), np.zeros((9, 9, 3), np.uint8))
    (tmp_path / 'list.txt').write_text('a\nb.jpg\n')
    with pytest.raises(FileNotFoundError, match=r"list.txt:2: 'b.jpg'"):
        photographs(None, str(tmp_path / 'list.txt'))


def test_the_command_on_real_faces_and_photographs(commands, faces_dir,
                                                   mask_folders, repo_root,
                                                   tmp_path):
    names = (mask_folders / 'masked_faces/test.txt').read_text().split()[:6]
    folder = tmp_path / 'masked'
    (folder / 'images').mkdir(parents=True)
    for name in names:
        image = cv2.imread(
            str(mask_folders / f'masked_faces/images/{name}.jpg'))
        cv2.imwrite(str(folder / f'images/{name}.jpg'), image)
    (folder / 'list.txt').write_text('\n'.join(names))
    run = commands.run([
        'python',
        str(repo_root / 'tools/analysis_tools/occlusion_awareness.py'),
        str(repo_root / 'configs/orsanet_lite_rafdb.py'), '--out', 'out',
        '--photographs', 'mask',
        str(folder / 'list.txt'), '--cfg-options',
        f'test_dataloader.dataset.indices={",".join(map(str, range(40)))}'
    ], tmp_path, dict(ORSA_RAFDB=str(faces_dir)))
    assert run.code == 0, run.output
    result = json.loads(
        (tmp_path / 'out/occlusion_awareness.json').read_text())
    assert result['faces'] == 46 and len(result['covered']) == 46
    assert result['types']['mask']['faces'] == 6
    # a surgical mask covers half of a face
    assert result['types']['mask']['auc'] > .9
    assert '| mask | 6 |' in run.output
    sheet = cv2.imread(str(tmp_path / 'out/occlusion_awareness.png'))
    assert np.ptp(sheet) > 0 and len(sheet) > 800
