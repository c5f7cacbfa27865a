# Copyright (c) orsa contributors. All rights reserved.
"""Maps and keypoints become a grid of features."""
import pytest
import torch

from orsa.models.necks import KeypointEncoder, MapEncoder


def test_maps_of_any_size_become_a_grid():
    model = MapEncoder(5, 12, grid=(3, 4), halvings=1).train()
    for size in ((24, 32), (6, 8), (5, 5)):
        assert model(torch.rand(1, 5, *size)).shape == (1, 12, 3, 4)
    with pytest.raises(ValueError, match=r'5 channels.*\(1, 4, 6, 8\)'):
        model(torch.rand(1, 4, 6, 8))


def test_a_map_speaks_of_its_place():
    model = MapEncoder(1, 8, grid=4, halvings=1).eval()
    blank, spot = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    spot[..., 12:, 12:] = 1
    change = (model(spot) - model(blank)).abs().sum(1)[0]
    assert change[3, 3] > 0
    assert not change[:2, :2].any()


def test_features_of_any_scale_are_taken_with_norm_input():
    torch.manual_seed(0)
    model = MapEncoder(6, 4, grid=2, halvings=0, norm_input=True).train()
    maps, scale = torch.randn(8, 6, 4, 4), torch.logspace(0, 4, 6)
    scaled = maps * scale[:, None, None] + 3 * scale[:, None, None]
    assert torch.allclose(model(maps), model(scaled), atol=1e-3)


def test_landmarks_are_drawn_where_they_are():
    model = KeypointEncoder(2, 8, grid=4, halvings=2, sigma=0.5)
    points = torch.tensor([[[0.25, 0.75, 1.], [0.9, 0.1, 0.5]]])
    maps = model.draw(points)[0]  # (2, 16, 16)
    for place, (x, y, score) in zip(maps, points[0].tolist()):
        rows, columns = place.sum(1), place.sum(0)
        centres = (torch.arange(16) + 0.5) / 16
        assert float((rows * centres).sum() / rows.sum()) == pytest.approx(
            y, abs=0.01)
        assert float(
            (columns * centres).sum() / columns.sum()) == pytest.approx(
                x, abs=0.01)
        # the highest pixel is at most half a pixel from the landmark
        assert score * 0.36 <= float(place.max()) <= score + 1e-6


def test_shape_does_not_depend_on_place_and_size_of_the_face():
    points = torch.rand(2, 5, 3)
    moved = points.clone()
    moved[..., :2] = points[..., :2] * 0.3 + torch.tensor([0.1, 0.4])
    assert torch.allclose(
        KeypointEncoder.normalise(points),
        KeypointEncoder.normalise(moved),
        atol=1e-4)


def test_landmarks_without_confidence_say_nothing():
    model = KeypointEncoder(5, 8).eval()
    points = torch.rand(1, 5, 3)
    points[..., 2] = 0
    other = points.clone()
    other[..., :2] = torch.rand(1, 5, 2)
    assert torch.equal(model.draw(points), model.draw(other))
    assert torch.isfinite(model(points)).all()


def test_batch_of_one_trains_and_other_numbers_are_refused():
    model = KeypointEncoder(5, 8, grid=(2, 3)).train()
    out = model(torch.rand(1, 5, 3))
    assert out.shape == (1, 8, 2, 3)
    out.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ValueError, match='5 landmarks'):
        model(torch.rand(1, 6, 3))


def test_shape_by_hand():
    # confidences 1 and 3: the centre is (.3, .6), the mean square of the
    # distances to it (.45 + 3 * .05) / 4 = .15
    points = torch.tensor([[[0., 0., 1.], [.4, .8, 3.]]])
    found = KeypointEncoder.normalise(points)[0]
    expected = torch.tensor([[-.3, -.6], [.1, .2]]) / .15**.5
    torch.testing.assert_close(found[:, :2], expected)
    assert found[:, 2].tolist() == [1, 3]
    model = KeypointEncoder(2, 8, grid=4).eval()
    shape = model.shape_mlp(KeypointEncoder.normalise(points).flatten(1))
    torch.testing.assert_close(
        model(points),
        model.layers(model.draw(points)) + shape[..., None, None])
