# Copyright (c) orsa contributors. All rights reserved.
"""What a training shows of itself, in files and in TensorBoard."""
import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_suite import CONFIG, NUM, make_faces

TRAINING = """
train_dataloader = dict(
    batch_size=7, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='test',
                 pipeline=pipeline))
val_dataloader = test_dataloader
val_evaluator = test_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=1e-3))
visualizer = dict(
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
default_hooks = dict(
    logger=dict(interval=1),
    visualization=dict(
        type='orsa.FaceVisualizationHook', enable=True, interval=5))
"""


def test_scalars_and_faces_reach_tensorboard(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import \
        EventAccumulator
    faces, work = tmp_path / 'faces', tmp_path / 'work'
    make_faces(faces)
    (tmp_path / 'train.py').write_text(
        (CONFIG + TRAINING).replace('{root}', str(faces)))
    cfg = Config.fromfile(tmp_path / 'train.py')
    cfg.work_dir = str(work)
    cfg.experiment_name = 'visualization'
    Runner.from_cfg(cfg).train()
    folder, = work.glob('*/vis_data')
    events = EventAccumulator(str(folder))
    events.Reload()
    # what MMEngine's own file has, is there too
    records = [
        json.loads(line)
        for line in (folder / 'scalars.json').read_text().splitlines()
    ]
    losses = [r['loss'] for r in records if 'loss' in r]
    assert len(losses) == 6
    assert np.allclose([e.value for e in events.Scalars('loss')], losses)
    assert [e.step for e in events.Scalars('accuracy')] == [1, 2]
    # every fifth face, in its own colours
    names = sorted(events.Tags()['images'])
    # mmpretrain leaves the last out, which is alone in its batch
    assert names == [f'test_{i:04d}_aligned.jpg' for i in range(0, NUM - 1, 5)]
    coloured = 0
    for name in names:
        shown = events.Images(name)
        assert [e.step for e in shown] == [1, 2]
        drawn = cv2.imdecode(
            np.frombuffer(shown[1].encoded_image_string, np.uint8), 1)
        kept = cv2.imread(str(folder / 'vis_image' / f'{name}_2.png'))
        assert np.array_equal(drawn, kept)
        face = cv2.imread(str(faces / 'basic/Image/aligned' / name))
        face = cv2.resize(face, drawn.shape[1::-1])
        # beside the text
        right = (slice(None), slice(drawn.shape[1] * 3 // 4, None))
        error, swapped = (
            np.abs(drawn[right].astype(int) - f[right]).mean()
            for f in (face, face[..., ::-1]))
        assert error < 10
        if np.ptp(face.mean((0, 1))) > 20:  # not a grey one
            assert swapped > 2 * error
            coloured += 1
    assert coloured
