# Copyright (c) orsa contributors. All rights reserved.
"""The one loop over a dataset: all faces, in order, without gradients."""
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.structures import DataSample
from plain_models import plain_model
from torch.utils.data import DataLoader

from orsa.apis.dataset import predict_dataset


@pytest.fixture(scope='module')
def model():
    return plain_model()


@pytest.fixture(scope='module')
def faces():
    random = np.random.RandomState(0)
    return [
        dict(
            inputs=torch.from_numpy(
                random.randint(0, 256, (3, 32, 32), np.uint8)),
            data_samples=DataSample().set_gt_label(i % 7)) for i in range(5)
    ]


def scores(found):
    return torch.stack([s.pred_score for _, out in found for s in out])


def test_scores_are_those_of_the_model_face_by_face(model, faces):
    expected = torch.cat([
        torch.stack(
            [s.pred_score for s in model.test_step(default_collate([face]))])
        for face in faces
    ])
    found = list(predict_dataset(model.train(), faces, batch_size=2))
    assert [len(out) for _, out in found] == [2, 2, 1]
    assert torch.allclose(scores(found), expected, atol=1e-6)
    assert not scores(found).requires_grad and not model.training


def test_workers_and_batches_change_nothing(model, faces):
    expected = scores(predict_dataset(model, faces, batch_size=2))
    loader = DataLoader(faces, 2, num_workers=1, collate_fn=default_collate)
    assert torch.equal(scores(predict_dataset(model, loader)), expected)
    batches = [default_collate(faces[i:i + 2]) for i in (0, 2, 4)]
    assert torch.equal(scores(predict_dataset(model, iter(batches))), expected)
    with pytest.raises(ValueError, match='indices'):
        list(predict_dataset(model, iter(batches), indices=[0]))


def test_some_faces_by_a_function(model, faces):
    found = [
        data for _, data in predict_dataset(
            model, faces, lambda data: data, indices=[3, 1], batch_size=1)
    ]
    expected = (faces[3]['inputs'][None] - 127.) / 60.
    assert torch.allclose(found[0]['inputs'], expected)
    assert [int(d['data_samples'][0].gt_label) for d in found] == [3, 1]


def test_random_numbers_and_gradients_of_the_caller_stay(model, faces):
    before = torch.get_rng_state()
    for _ in predict_dataset(model, faces, batch_size=2):
        assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
