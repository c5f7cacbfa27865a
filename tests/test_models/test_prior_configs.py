# Copyright (c) orsa contributors. All rights reserved.
"""The published priors: what they give, and that their files would fit."""
import copy
import re
from collections import OrderedDict
from pathlib import Path

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from orsa.models.priors import skip_pretrained
from orsa.registry import MODELS

# name of the config, landmarks
LANDMARKS = (('rtmpose_face6', 106), ('rtmpose_t_face6', 106),
             ('hrnetv2_w18_300w', 68), ('hrnetv2_w18_wflw', 98))


@pytest.fixture(scope='module')
def folder(repo_root):
    return repo_root / 'configs/_base_/models'


def build(cfg, **kwargs):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(copy.deepcopy(cfg), **kwargs))


def compare_with_mmpose(ours, theirs):
    """Ours, as far as it says anything, is theirs."""
    for key, value in ours.items():
        if key in ('norm_cfg', 'test_cfg'):  # SyncBN is BN once frozen
            continue
        if isinstance(value, dict):
            compare_with_mmpose(value, theirs[key])
        elif key == 'type':
            assert value.rpartition('.')[2] == theirs[key], key
        else:
            assert value == theirs[key], key


@pytest.mark.parametrize('name, count', LANDMARKS)
def test_landmark_priors(folder, name, count):
    cfg = Config.fromfile(folder / f'{name}.py')
    assert cfg.landmark_keypoints == count
    prior = build(cfg.landmark_prior, allow_untrained='quiet')
    with torch.no_grad():
        points = prior(torch.randn(1, 3, 224, 224))
    assert points.shape == (1, count, 3)
    assert points.min() >= 0 and points.max() <= 1
    if name.startswith('hrnet'):
        maps = build(cfg.landmark_prior, output='heatmaps')
        with torch.no_grad():
            assert maps(torch.randn(1, 3, 224,
                                    224)).shape == (1, count, 64, 64)


@pytest.mark.parametrize(
    'name, published',
    [('rtmpose_face6', 'rtmpose/face6/rtmpose-m_8xb256-120e_face6-256x256.py'),
     ('rtmpose_t_face6',
      'rtmpose/face6/rtmpose-t_8xb256-120e_face6-256x256.py'),
     ('hrnetv2_w18_300w',
      'topdown_heatmap/300w/td-hm_hrnetv2-w18_8xb64-60e_300w-256x256.py'),
     ('hrnetv2_w18_wflw',
      'topdown_heatmap/wflw/td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256.py')])
def test_landmark_priors_are_those_of_mmpose(folder, name, published):
    """Same model, input and address as in the installed mmpose."""
    configs = Path(mmpose.__file__).parent / '.mim/configs'
    path = configs / 'face_2d_keypoint' / published
    if not path.is_file():
        pytest.skip('this mmpose is installed without its configs')
    theirs = Config.fromfile(path).model
    ours = Config.fromfile(folder / f'{name}.py').landmark_prior
    compare_with_mmpose(ours.model, theirs)
    assert ours.mean == theirs.data_preprocessor.mean
    assert ours.std == theirs.data_preprocessor.std
    assert theirs.data_preprocessor.bgr_to_rgb and not ours.get('bgr')
    assert list(theirs.head.decoder.input_size) == [ours.input_size] * 2
    # the metafile beside their config says where its weights are
    entries = '\n'.join(f.read_text() for f in path.parent.glob('*.yml'))
    entry = entries.split(f'face_2d_keypoint/{published}')[1]
    assert re.search(r'Weights: (\S+)', entry)[1] == ours.checkpoint


def test_a_file_of_mmpose_0_fits(folder, tmp_path):
    """HRNet's were written by mmpose 0, which named the head otherwise."""
    cfg = Config.fromfile(folder / 'hrnetv2_w18_300w.py').landmark_prior
    source = build(cfg, allow_untrained='quiet').model.state_dict()
    old = OrderedDict()
    for key, value in source.items():
        key = key.replace('head.final_layer.', 'keypoint_head.final_layer.3.')
        old[key.replace('head.conv_layers.',
                        'keypoint_head.final_layer.')] = value + 0
    assert 'keypoint_head.final_layer.0.weight' in old
    path = str(tmp_path / 'old.pth')
    torch.save(dict(meta=dict(CLASSES=None), state_dict=old), path)
    prior = build(cfg, checkpoint=path)
    prior.init_weights()
    for key, value in prior.model.state_dict().items():
        assert torch.equal(value, source[key]), key


def mm_config(repo_root):
    return Config.fromfile(repo_root / 'configs/orsanet_mm_rafdb.py')


@pytest.fixture(scope='module')
def full(repo_root):
    cfg = skip_pretrained(mm_config(repo_root).model)
    return build(cfg).eval()


def test_orsanet_mm_predicts(full):
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        outs = full.backbone(x)
        result = full.head.predict(full.neck(outs), [DataSample()])
    assert [tuple(o.shape) for o in outs] == [(1, 512, 7, 7),
                                              (1, 11, 224, 224), (1, 106, 3)]
    assert result[0].pred_score.shape == (7, )
    assert torch.allclose(result[0].pred_score.sum(), torch.tensor(1.))
    assert full.backbone.adapter.layout == 'space'
    frozen = [n for n, p in full.named_parameters() if not p.requires_grad]
    assert frozen and all('_prior.model.' in n for n in frozen)
    assert not any('_prior.' in n
                   for n, p in full.named_parameters() if p.requires_grad)


def test_orsanet_mm_normalises_for_its_priors(full):
    for prior in (full.backbone.parsing_prior, full.backbone.landmark_prior):
        for field in ('mean', 'std'):
            expected = getattr(full.data_preprocessor, field).flatten()
            assert torch.allclose(
                torch.tensor(getattr(prior, f'input_{field}')), expected)
        assert not prior.renormalises  # ImageNet's for all three
    assert full.backbone.parsing_prior.input_size == (224, 224)
    assert full.backbone.landmark_prior.input_size == (256, 256)


@pytest.mark.parametrize('name, count', LANDMARKS[1:])
def test_another_landmark_prior_is_one_line(folder, tmp_path, name, count):
    text = (folder / 'orsanet_mm.py').read_text()
    line = "    './rtmpose_face6.py',\n"
    assert text.count(line) == 1
    # the comment there offers it
    assert f"'./{name}.py'" in text
    for path in folder.glob('*.py'):
        (tmp_path / path.name).write_text(path.read_text())
    mine = tmp_path / 'mine.py'
    mine.write_text(text.replace(line, f"    './{name}.py',\n"))
    model = Config.fromfile(mine).model
    assert model.backbone.landmark_prior.num_keypoints == count
    encoder = build(model.neck.landmark_encoder)
    assert encoder(torch.rand(1, count, 3)).shape == (1, 512, 7, 7)


def test_missing_files_name_the_part_and_the_remedy(repo_root):
    cfg = mm_config(repo_root).model.backbone
    tiny = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
    cfg.image_encoder = dict(tiny, init_cfg=cfg.image_encoder.init_cfg)
    cfg.landmark_prior.checkpoint = 'nowhere/rtmpose.pth'
    for prior in (cfg.parsing_prior, cfg.landmark_prior):
        # the error is of the file, whatever the model is
        prior.output = 'feature'
        prior.model = dict(tiny)
    model = build(cfg)
    expected = {
        'image_encoder':
        ('checkpoints/ir50.pth', 'image encoder', 'model_converters/ir50.py'),
        'parsing_prior':
        ('checkpoints/segface_swin_b_lapa_masks.pth', 'ParsingPrior',
         'model_converters/segface.py --with-decoder'),
        'landmark_prior': ('nowhere/rtmpose.pth', 'LandmarkPrior',
                           'face_2d_keypoint/rtmpose/face6')
    }
    for part, texts in expected.items():
        owner = model if part == 'image_encoder' else getattr(model, part)
        with pytest.raises(FileNotFoundError) as error:
            owner.init_weights()
        for text in (*texts, 'ORSA_PRETRAINED', 'allow_untrained=True'):
            assert text in str(error.value), part
