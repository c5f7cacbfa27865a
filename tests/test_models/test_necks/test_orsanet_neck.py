# Copyright (c) orsa contributors. All rights reserved.
"""ORSANet's fusion: which inputs its modules get, and what is refused."""
import pytest
import torch

from orsa.models.necks import ORSANetNeck
from orsa.registry import MODELS

GUIDANCE = dict(
    type='orsa.SemanticGuidance',
    in_channels=16,
    condition_channels=5,
    hidden_channels=4)
INTERACTION = dict(
    type='orsa.MultiScaleCrossInteraction',
    embed_dims=16,
    num_tokens=4,
    depth=1,
    num_scales=2,
    num_heads=2)


@pytest.fixture
def inputs():
    return (torch.randn(1, 16, 2, 2), torch.rand(1, 5, 8,
                                                 8), torch.randn(1, 16, 2, 2))


def build(**kwargs) -> ORSANetNeck:
    return MODELS.build(dict(type='orsa.ORSANetNeck', **kwargs))


def test_guidance_comes_before_interaction(inputs):
    neck = build(
        semantic_guidance=GUIDANCE, cross_interaction=INTERACTION).eval()
    image, parsing, landmark = inputs
    guided = neck.semantic_guidance((image, parsing))[0]
    expected = neck.cross_interaction((guided, landmark))[0]
    assert torch.equal(neck(inputs)[0], expected)


def test_either_part_may_be_absent(inputs):
    image, parsing, landmark = inputs
    assert torch.allclose(build()((image, ))[0], image.mean((2, 3)))
    neck = build(semantic_guidance=GUIDANCE).eval()
    guided = neck.semantic_guidance((image, parsing))[0]
    assert torch.allclose(neck((image, parsing))[0], guided.mean((2, 3)))
    neck = build(cross_interaction=INTERACTION).eval()
    expected = neck.cross_interaction((image, landmark))[0]
    assert torch.equal(neck((image, landmark))[0], expected)


def test_with_residual_it_begins_near_the_image_branch(inputs):
    plain = build(
        semantic_guidance=GUIDANCE, cross_interaction=INTERACTION).eval()
    neck = build(
        semantic_guidance=GUIDANCE, cross_interaction=INTERACTION,
        residual=16).eval()
    assert set(
        neck.load_state_dict(plain.state_dict(),
                             strict=False).missing_keys) == {'fusion_scale'}
    expected = inputs[0].mean((2, 3)) + 0.1 * plain(inputs)[0]
    assert torch.allclose(neck(inputs)[0], expected, atol=1e-6)
    neck(inputs)[0].sum().backward()
    assert neck.fusion_scale.grad.abs().min() > 0
    narrow = build(residual=8)
    with pytest.raises(ValueError, match='residual=8.*16 channels'):
        narrow(inputs[:1])


def test_encoders_turn_priors_into_maps(inputs):
    neck = build(
        semantic_guidance=dict(GUIDANCE, condition_channels=3),
        cross_interaction=INTERACTION,
        parsing_encoder=dict(
            type='orsa.MapEncoder', in_channels=5, out_channels=3, grid=2),
        landmark_encoder=dict(
            type='orsa.KeypointEncoder',
            num_keypoints=6,
            out_channels=16,
            grid=2)).train()
    out, = neck((inputs[0], inputs[1], torch.rand(1, 6, 3)))
    assert out.shape == (1, 16)
    out.square().sum().backward()
    assert neck.parsing_encoder.layers[0].weight.grad.any()
    assert neck.landmark_encoder.layers[0].weight.grad.any()


def test_says_how_many_inputs_it_was_built_for(inputs):
    neck = build(semantic_guidance=GUIDANCE, cross_interaction=INTERACTION)
    with pytest.raises(ValueError, match='3 inputs .*parsing.*gives 2'):
        neck(inputs[:2])
    with pytest.raises(ValueError, match='1 inputs .*gives 3'):
        build()(inputs)


def test_an_encoder_for_nobody_is_refused():
    with pytest.raises(ValueError, match='never used'):
        build(
            landmark_encoder=dict(
                type='orsa.MapEncoder', in_channels=5, out_channels=3))


ENCODER = dict(type='orsa.MapEncoder', in_channels=5, halvings=0)


@pytest.mark.parametrize('parts, message', [
    (dict(parsing_encoder=dict(ENCODER, out_channels=4, grid=2)),
     r'parsing_encoder\.out_channels=4 .*condition_channels=5'),
    (dict(landmark_encoder=dict(ENCODER, out_channels=12, grid=2)),
     r'landmark_encoder\.out_channels=12 .*embed_dims=16'),
    (dict(landmark_encoder=dict(ENCODER, out_channels=16, grid=(2, 3))),
     r'landmark_encoder\.num_tokens=6 .*interaction\.num_tokens=4'),
    (dict(semantic_guidance=dict(GUIDANCE, in_channels=8)),
     r'guidance\.in_channels=8 .*embed_dims=16'),
    (dict(residual=24), 'residual=24 .*embed_dims=16'),
    (dict(residual=24,
          cross_interaction=None), r'residual=24 .*guidance\.in_channels=16'),
])
def test_parts_that_do_not_fit_are_refused_when_built(parts, message):
    cfg = dict(semantic_guidance=GUIDANCE, cross_interaction=INTERACTION)
    with pytest.raises(ValueError, match=message):
        build(**{**cfg, **parts})


def test_in_index_picks_among_the_outputs(inputs):
    both = dict(semantic_guidance=GUIDANCE, cross_interaction=INTERACTION)
    neck = build(**both, in_index=(2, 0, -1)).eval()
    plain = build(**both).eval()
    plain.load_state_dict(neck.state_dict())
    image, parsing, landmark = inputs
    more = (parsing, torch.rand(1), image, landmark)
    assert torch.equal(neck(more)[0], plain(inputs)[0])
    # a backbone with priors that this neck has no use for
    assert torch.equal(build(in_index=[0])(inputs)[0], build()((image, ))[0])
    assert build().in_index is None


def test_a_wrong_in_index_is_refused(inputs):
    with pytest.raises(
            ValueError, match=r'2 inputs .*parsing.*\(0,\) picks 1'):
        build(semantic_guidance=GUIDANCE, in_index=(0, ))
    neck = build(semantic_guidance=GUIDANCE, in_index=(0, 3))
    with pytest.raises(ValueError, match='parsing prior.*3.* gives 3'):
        neck(inputs)
    with pytest.raises(ValueError, match='image map.*-4'):
        build(in_index=(-4, ))(inputs)


def test_what_is_hidden_does_not_count():
    """Of four places one is hidden: the others weigh a third more."""
    neck = build(semantic_guidance=GUIDANCE, residual=16, weigh_visible=True)
    image = torch.randn(2, 16, 2, 2)
    parsing = torch.rand(2, 5, 4, 4)
    parsing[:, -1] = 1
    plain = build(semantic_guidance=GUIDANCE, residual=16)
    plain.load_state_dict(neck.state_dict())
    assert torch.allclose(
        neck.eval()((image, parsing))[0],
        plain.eval()((image, parsing))[0],
        atol=1e-6)
    parsing[:, -1, 2:, :2] = 0
    weights = torch.tensor([[4 / 3, 4 / 3], [0, 4 / 3]])
    expected = plain((image * weights, parsing))[0]
    found = neck((image, parsing))[0]
    assert torch.allclose(found, expected, atol=1e-5)
    image[:, :, 1, 0] = 7
    assert torch.equal(neck((image, parsing))[0], found)
    # all but hidden: the map is small, not blown up
    parsing[:, -1] = 1e-3
    tiny = neck((image, parsing))[0].abs().mean()
    assert tiny < found.abs().mean()


def test_visibility_comes_from_the_parsing_prior():
    with pytest.raises(ValueError, match='weigh_visible needs'):
        build(cross_interaction=INTERACTION, weigh_visible=True)
