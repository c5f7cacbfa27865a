# Copyright (c) orsa contributors. All rights reserved.
"""Keys of published weights are converted, by hand and without the files."""
from functools import partial

import pytest
import torch
import torch.nn as nn

from orsa.prepare import weights as convert


def named(*keys):
    """A state dict whose values tell which key they came under."""
    return {key: torch.tensor([float(i)]) for i, key in enumerate(keys)}


def check(function, pairs, *args):
    """Every key becomes its partner; None stands for what is left out."""
    state = named(*pairs)
    new, dropped = function(state, *args)
    assert {
        k: float(v)
        for k, v in new.items()
    } == {
        ours: i
        for i, ours in enumerate(pairs.values()) if ours
    }
    assert dropped == [k for k, ours in pairs.items() if not ours]


def test_ir50():
    check(
        partial(convert.convert_state, network='ir50'), {
            'input_layer.0.weight': 'stem.0.weight',
            'body.21.res_layer.1.weight': None,
            'body.0.res_layer.0.weight': 'stages.0.0.norm1.weight',
            'body.2.res_layer.1.weight': 'stages.0.2.conv1.weight',
            'body.3.res_layer.2.weight': 'stages.1.0.act.weight',
            'body.6.res_layer.3.weight': 'stages.1.3.conv2.weight',
            'body.7.shortcut_layer.0.weight': 'stages.2.0.shortcut.0.weight',
            'body.8.other.weight': None,
            'output_layer.0.weight': None,
            'body.20.res_layer.4.bias': 'stages.2.13.norm2.bias',
        })


MOBILE = {
    'conv1.conv.weight': 'stem.0.expand.weight',
    'conv1.conv.weight2': 'stem.0.expand.weight2',
    'conv2_dw.prelu.weight': 'stem.1.activate.weight',
    'conv_23.conv_dw.conv.weight': 'stages.0.0.depthwise.conv.weight',
    'conv_3.model.0.conv.conv.weight': 'stages.0.1.expand.conv.weight',
    'conv_34.conv.bn.weight': 'stages.1.0.expand.bn.weight',
    'conv_4.model.5.conv.bn.weight': 'stages.1.6.expand.bn.weight',
    'conv_45.conv_dw.bn.weight': 'stages.2.0.depthwise.bn.weight',
    'conv_5.model.1.conv_dw.bn.weight': 'stages.2.2.depthwise.bn.weight',
    'output_layer.linear.weight': 'head.fc.weight',
    'output_layer.bn.bias': 'head.norm.bias',
    'output_layer.conv_6_dw.conv.weight': 'head.depthwise.conv.weight',
    'conv_6_sep.prelu.weight': 'last.activate.weight',
}


@pytest.mark.parametrize('with_head', [True, False])
def test_mobilefacenet(with_head):
    pairs = dict(MOBILE)
    pairs['conv1.conv.weight'] = 'stem.0.conv.weight'
    pairs['conv1.conv.weight2'] = 'stem.0.conv.weight2'
    if not with_head:
        pairs.update({k: None for k in pairs if k.startswith('output_layer')})
    left_out = dict(left_out='$^') if with_head else {}
    check(
        partial(convert.convert_state, network='mobilefacenet', **left_out),
        pairs)


def test_swin():
    state = named('1.weight', '0.0.0.weight', '0.0.2.bias',
                  '0.1.1.attn.relative_position_index',
                  '0.1.1.attn.relative_position_bias_table',
                  '0.3.0.attn.qkv.weight', '0.5.17.mlp.0.weight',
                  '0.7.1.mlp.3.bias', '0.7.0.norm1.weight')
    state['0.2.norm.weight'] = torch.arange(8.)
    state['0.6.reduction.weight'] = torch.arange(16.).reshape(2, 8)
    new, dropped = convert.convert_state(state, 'swin')
    assert dropped == ['1.weight', '0.1.1.attn.relative_position_index']
    # blocks (0,0) (1,0) (0,1) (1,1) of two channels -> row by row, channel
    # by channel
    order = torch.tensor([0., 4., 2., 6., 1., 5., 3., 7.])
    assert torch.equal(new.pop('stages.0.downsample.norm.weight'), order)
    assert torch.equal(
        new.pop('stages.2.downsample.reduction.weight'),
        torch.stack([order, order + 8]))
    assert {
        k: float(v)
        for k, v in new.items()
    } == {
        'patch_embed.projection.weight': 1,
        'patch_embed.norm.bias': 2,
        'stages.0.blocks.1.attn.w_msa.relative_position_bias_table': 4,
        'stages.1.blocks.0.attn.w_msa.qkv.weight': 5,
        'stages.2.blocks.17.ffn.layers.0.0.weight': 6,
        'stages.3.blocks.1.ffn.layers.1.bias': 7,
        'stages.3.blocks.0.norm1.weight': 8
    }


TOKENS = ('background', 'face', 'leftbro', 'rightbro', 'lefteye', 'righteye',
          'nose', 'upperlip', 'innermouth', 'lowerlip', 'hair')


def decoder():
    # the file has them in another order
    state = named(*(f'face_decoder.{t}_token.weight'
                    for t in reversed(TOKENS)))
    mlps = 'face_decoder.output_hypernetwork_mlps.layers.'
    block = 'face_decoder.transformer.layers.1.'
    state.update({
        'linear_c.2.proj.weight':
        torch.tensor(20.),
        'linear_fuse.bias':
        torch.tensor(21.),
        mlps + '0.weight':
        torch.tensor(22.),
        mlps + '2.weight':
        torch.tensor(23.),
        block + 'cross_attn_token_to_image.q_proj.weight':
        torch.tensor(24.),
        block + 'cross_attn_image_to_token.out_proj.bias':
        torch.tensor(25.),
        block + 'mlp.lin1.weight':
        torch.tensor(26.),
        block + 'mlp.lin2.weight':
        torch.tensor(27.),
        'face_decoder.transformer.norm_final_attn.bias':
        torch.tensor(28.),
    })
    return state


def test_segface_decoder():
    new = convert.convert_segface_decoder(decoder())
    tokens = new.pop('class_tokens')
    assert tokens.tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert {
        k: float(v)
        for k, v in new.items()
    } == {
        'projections.2.weight': 20,
        'fuse.bias': 21,
        'mask_mlp.0.weight': 22,
        'mask_mlp.4.weight': 23,
        'layers.1.token_attn.q.weight': 24,
        'layers.1.map_attn.proj.bias': 25,
        'layers.1.mlp.0.weight': 26,
        'layers.1.mlp.2.weight': 27,
        'final_norm.bias': 28
    }


def test_segface_says_what_it_does_not_know():
    state = decoder()
    state['backbone.0.0.0.weight'] = torch.zeros(1)
    state['backbone.1.weight'] = torch.zeros(1)
    index = 'backbone.0.1.0.attn.relative_position_index'
    state[index] = torch.zeros(1)
    new, dropped = convert.convert_segface(state)
    assert dropped == ['backbone.1.weight', index]
    assert 'backbone.patch_embed.projection.weight' in new
    assert float(new['decode_head.fuse.bias']) == 21
    for i in range(6):
        state[f'backbone.other.{i}'] = torch.zeros(1)
    with pytest.raises(convert.ConversionError) as raised:
        convert.convert_segface(state)
    assert '6 entries are unknown' in str(raised.value)
    named_ones = [f'backbone.other.{i}' in str(raised.value) for i in range(6)]
    assert named_ones == [True] * 4 + [False] * 2
    state = decoder()
    state['face_decoder.hat_token.weight'] = state.pop(
        'face_decoder.hair_token.weight')
    with pytest.raises(
            convert.ConversionError, match=r"\['hair'\] .*\['hat'\]"):
        convert.convert_segface_decoder(state)


def test_interaction():
    check(
        partial(convert.convert_state, network='interaction'), {
            'downsample_m.0.weight': 'downsamples.0.0.weight',
            'cls_token': None,
            'downsample_s.1.bias': 'downsamples.1.1.bias',
            'blocks.0.upsample_s.w': 'levels.0.upsamples.1.w',
            'blocks.3.upsample_m.w': 'levels.3.upsamples.0.w',
            'blocks.1.block_l.attn_img.q.w': 'levels.1.fusions.0.q.w',
            'blocks.1.block_m.conv.w': 'levels.1.fusions.1.mix.w',
            'blocks.2.block_s.mlp.fc1.w': 'levels.2.fusions.2.mlp.0.w',
            'blocks.2.block_s.mlp.fc2.w': 'levels.2.fusions.2.mlp.2.w',
            'blocks.0.block_l.scale': 'levels.0.fusions.0.landmark_scale',
            'norm.weight': 'norm.weight',
        })


def test_guidance():
    state = named('norm_0.mlp_shared.0.weight', 'norm_1.mlp_gamma.bias',
                  'norm_s.mlp_beta.bias', 'conv_1.bias', 'conv_0.weight_orig',
                  'conv_0.weight_u', 'conv_1.weight_v', 'norm_1.mlp_beta.w')
    new, dropped = convert.convert_state(state, 'guidance')
    assert not dropped and list(new) == [
        'spade0.shared.0.weight', 'spade1.gamma.bias', 'norm_s.mlp_beta.bias',
        'conv1.bias', 'conv0.parametrizations.weight.original',
        'conv0.parametrizations.weight.0._u',
        'conv1.parametrizations.weight.0._v', 'spade1.beta.w'
    ]


def test_official():
    check(
        convert.convert_official, {
            'ir_back.input_layer.0.weight':
            'backbone.image_encoder.stem.0.weight',
            'ir_back.output_layer.0.weight': None,
            'pyramid_fuse.cls_token': None,
            'pyramid_fuse.norm.w': 'neck.cross_interaction.norm.w',
            'seg_fusion.conv_1.bias': 'neck.semantic_guidance.conv1.bias',
            'seg_sample.weight': 'neck.semantic_guidance.embed.weight',
            'ir_layer.weight': 'backbone.adapter.proj.weight',
            'se_block.linear1.weight': 'head.gate.0.weight',
            'se_block.linear2.bias': 'head.gate.2.bias',
            'head.linear.weight': 'head.fc.weight',
            'unheard.of': None,
        })


def test_report_names_a_few():
    assert str(
        convert.Report(
            matched=['w'], dropped=list('abcdef'),
            missed=list('abcdefg'))) == '\n'.join([
                'matched      1', 'dropped      6: a, b, c, d, e, f',
                'missed       7: a, b, c, d, e, f, ...', 'wrong        0'
            ])


def test_fit_takes_all_of_the_model_and_nothing_else():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model[1].num_batches_tracked.fill_(5)
    state = {
        k: v + 1
        for k, v in model.state_dict().items() if v.is_floating_point()
    }
    state['other'] = torch.zeros(1)
    report = convert.fit(state, ['left'], model)
    assert set(state) == set(model.state_dict())
    assert int(state['1.num_batches_tracked']) == 5
    assert report.dropped == ['left', 'other']
    assert sorted(report.matched) == sorted(
        k for k, v in model.state_dict().items() if v.is_floating_point())
    assert torch.equal(state['0.bias'], model[0].bias + 1)


@pytest.mark.parametrize('shape', [(1, 2), (5, 2), (3, 2, 1)])
def test_fit_refuses_smaller_and_larger_weights(shape):
    model = nn.Linear(2, 3)
    state = dict(weight=torch.zeros(shape), bias=torch.zeros(3))
    with pytest.raises(convert.ConversionError) as raised:
        convert.fit(state, [], model)
    assert f'weight {shape} instead of (3, 2)' in str(raised.value)
    many = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(6)])
    with pytest.raises(
            convert.ConversionError,
            match=r"6 entries are missing \['0.weight', '1.weight', "
            r"'2.weight', '3.weight'\], 0 are"):
        convert.fit({}, [], many)


def test_publish(tmp_path):
    src, dst = str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')
    content = dict(
        meta=dict(dataset_meta=dict(classes=['a', 'b']), epoch=3),
        optimizer={},
        state_dict=dict(w=torch.tensor([1 / 3]), n=torch.tensor(70000)))
    torch.save(content, src)
    size = convert.publish(src, dst)
    ours = torch.load(dst)
    assert size == (tmp_path / 'dst.pth').stat().st_size
    assert ours.keys() == {'meta', 'state_dict'}
    assert ours['meta'] == dict(dataset_meta=dict(classes=('a', 'b')))
    assert ours['state_dict']['w'].dtype == torch.float16
    assert ours['state_dict']['n'] == 70000
    convert.publish(src, dst, half=False)
    assert torch.equal(
        torch.load(dst)['state_dict']['w'], content['state_dict']['w'])
    # too large for float16 alone
    torch.save(dict(w=torch.tensor([1e6])), src)
    convert.publish(src, dst, half=False)
    assert torch.load(dst)['meta'] == {}
    with pytest.raises(convert.ConversionError, match='w .*float16'):
        convert.publish(src, dst)


def test_publish_the_mean_of_several(tmp_path):
    rounds = [
        dict(w=torch.tensor([1., 4.]), n=torch.tensor(3)),
        dict(w=torch.tensor([2., 0.]), n=torch.tensor(5))
    ]
    paths = [str(tmp_path / f'{i}.pth') for i in range(2)]
    for path, state in zip(paths, rounds):
        torch.save(dict(state_dict=state), path)
    dst = str(tmp_path / 'mean.pth')
    convert.publish(paths, dst, half=False)
    found = torch.load(dst)['state_dict']
    assert found['w'].tolist() == [1.5, 2.] and found['n'] == 5
    torch.save(dict(state_dict=dict(w=torch.zeros(3))), paths[0])
    with pytest.raises(convert.ConversionError, match='of the same model'):
        convert.publish(paths, dst)


def test_read_state_looks_where_it_is_told(tmp_path):
    path = str(tmp_path / 'a.pth')
    weights = {'module.w': torch.ones(2)}
    for content in (weights, dict(state_dict=weights),
                    dict(model=weights, state_dict=dict(v=torch.ones(1)))):
        torch.save(content, path)
        state = convert.read_state(path, 'model', 'state_dict')
        assert list(state) == ['w'] and torch.equal(state['w'], torch.ones(2))
    torch.save({key: 1 for key in 'abcdefg'}, path)
    with pytest.raises(convert.ConversionError) as raised:
        convert.read_state(path, 'model', 'state_dict')
    assert str(raised.value) == (
        f"'{path}' holds no weights under model or state_dict, only "
        "['a', 'b', 'c', 'd', 'e']")


def test_publish_checkpoints_of_other_classes(tmp_path):
    paths = []
    for names in (['a', 'b'], ['b', 'a']):
        paths.append(str(tmp_path / f'{names[0]}.pth'))
        torch.save(
            dict(
                state_dict=dict(w=torch.eye(2)),
                meta=dict(dataset_meta=dict(classes=names))), paths[-1])
    with pytest.raises(convert.ConversionError, match='have the classes'):
        convert.publish(paths, str(tmp_path / 'mean.pth'))
