# Copyright (c) orsa contributors. All rights reserved.
"""What a training shows of itself, in files and in TensorBoard."""
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from tiny_suite import CONFIG, make_faces

from orsa.engine import ValidationFacesHook

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
    validation_faces=dict(type='orsa.ValidationFacesHook', num=7))
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
    cfg.experiment_name = 'validation_faces'
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
    shown = events.Images('validation_faces')
    assert [e.step for e in shown] == [1, 2]
    sheet = cv2.imdecode(
        np.frombuffer(shown[1].encoded_image_string, np.uint8), 1)
    kept = cv2.imread(str(folder / 'vis_image' / 'validation_faces_2.png'))
    assert np.array_equal(sheet, kept)
    # the first face of each class, in order, in its own colours
    assert sheet.shape == (172, 7 * 140, 3)
    for i in range(7):
        face = cv2.imread(
            str(faces / f'basic/Image/aligned/test_{i:04d}_aligned.jpg'))
        face = cv2.resize(face, (32, 32))
        face = cv2.resize(face, (128, 128), interpolation=cv2.INTER_CUBIC)
        cell = sheet[6:134, 140 * i + 6:140 * i + 134].astype(int)
        assert np.abs(cell - face).mean() < 3
        if i == 1:  # not a grey one
            assert np.abs(cell - face[..., ::-1]).mean() > 10


def test_faces_are_the_first_of_each_class():
    drawn = []
    runner = SimpleNamespace(
        val_dataloader=SimpleNamespace(
            dataset=SimpleNamespace(metainfo=dict(classes=('a', 'b')))),
        visualizer=SimpleNamespace(
            add_image=lambda *args, **kwargs: drawn.append((args, kwargs))),
        _train_loop=None,
        iter=40)
    hook = ValidationFacesHook(num=3, size=32, name='some')
    labels = [1, 1, 1, 0, 1]
    inputs = torch.stack([torch.full((3, 8, 8), 50 * i) for i in range(5)])
    samples = [
        DataSample().set_gt_label(label).set_pred_label(0).set_pred_score(
            torch.tensor([.75, .25])) for label in labels
    ]
    for _ in range(2):
        hook.before_val_epoch(runner)
        hook.after_val_iter(runner, 0, dict(inputs=inputs), samples)
        hook.after_val_epoch(runner)
    # 0 to 3 at most two of each; a right one in blue, wrong ones in orange
    for (name, sheet), options in drawn:
        assert name == 'some' and options == dict(step=40)
        assert sheet.shape == (76, 3 * 44, 3)
        faces = [sheet[20, 44 * i + 20, 0] for i in range(3)]
        assert faces == [150, 0, 50]
        frames = [sheet[3, 44 * i + 3].tolist() for i in range(3)]
        assert frames == [[0, 114, 178]] + 2 * [[213, 94, 0]]
    hook.before_val_epoch(runner)
    hook.after_val_epoch(runner)
    assert len(drawn) == 2
    with pytest.raises(ValueError, match='positive, but is 0'):
        ValidationFacesHook(num=0)
