# Copyright (c) orsa contributors. All rights reserved.
"""Synthetic faces in the layout of RAF-DB and tiny models, for tests."""
import json

import cv2
import numpy as np
import torch

from orsa.apis import build_model, load_config
from orsa.datasets.drawing import draw_face

NUM = 21
CONFIG = """
_base_ = 'orsa::_base_/default_runtime.py'
pipeline = [dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(32, 32)),
            dict(type='PackInputs',
                 meta_keys=('name', 'sample_idx', 'img_path'))]
test_dataloader = dict(
    batch_size=5, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='test',
                 pipeline=pipeline))
test_evaluator = dict(type='orsa.FERMetric')
test_cfg = dict()
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127] * 3, std=[50] * 3, num_classes=7,
                           to_rgb=True),
    backbone=dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=8))
"""


def write_faces(root, counts, size, digits=5) -> dict:
    """Draw faces of several splits, and return their landmarks by name."""
    images = root / 'basic' / 'Image' / 'aligned'
    images.mkdir(parents=True)
    (root / 'basic' / 'EmoLabel').mkdir()
    lines, points = [], {}
    for split, count in counts.items():
        for i in range(count):
            face = draw_face('happiness', np.random.default_rng(i), size=size)
            name = f'{split}_{i:0{digits}d}'
            cv2.imwrite(str(images / f'{name}_aligned.jpg'), face['img'])
            lines.append(f'{name}.jpg {i % 7 + 1}')
            points[name] = face['landmarks'].tolist()
    (root / 'basic' / 'EmoLabel' / 'list_patition_label.txt').write_text(
        '\n'.join(lines))
    return points


def make_faces(root) -> None:
    """Draw faces, their landmarks and a list of some of them."""
    points = write_faces(root, dict(test=NUM), size=64, digits=4)
    (root / 'landmarks68.json').write_text(json.dumps(points))
    (root / 'occlusion_test.txt').write_text(''.join(
        f'test_{i:04d}_aligned {i % 7} {1 + i % 3}\n'
        for i in (2, 3, 5, 8, 9)))


def make_model(config, path, seed: int = 0) -> None:
    """Save random weights that predict every class now and then."""
    torch.manual_seed(seed)
    cfg = load_config(str(config))
    model = build_model(cfg).eval()
    layer = model.head.fc
    torch.nn.init.normal_(layer.weight, std=8.)
    images = torch.randn(64, 3, 1, 1).expand(-1, -1, 32, 32)
    with torch.no_grad():
        layer.bias -= model(images, mode='tensor').mean(0)
    torch.save(dict(state_dict=model.state_dict()), path)
