# Copyright (c) orsa contributors. All rights reserved.
"""mmpretrain's names of getting a model: by name, offline, with weights."""
import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

import orsa
from orsa.apis import available_models, init_model
from orsa.apis.zoo import MODELS_BY_NAME
from orsa.utils.checkpoint import load_checkpoint_file
from orsa.utils.config_scope import config_path, metafile_rows

FACE = Path(orsa.__file__).parent / 'web' / 'example.jpg'


def test_models_are_listed_by_their_beginning():
    names = orsa.list_models()
    assert names == sorted(names) and set(names) == set(metafile_rows())
    assert {'orsanet_face', 'resnet18_rafdb'} <= set(names)
    assert orsa.list_models('orsanet_a') == [
        'orsanet_affectnet7', 'orsanet_affectnet8'
    ]
    assert orsa.list_models('*lite_ferplus') == ['orsanet_lite_ferplus']
    others = orsa.list_models('orsanet', exclude_patterns=['*rafdb', '*_f'])
    assert not [n for n in others if 'rafdb' in n or '_f' in n]
    assert 'orsanet_demo' in others
    assert orsa.list_models([
        'orsanet_a', 'dan'
    ]) == sorted(orsa.list_models('orsanet_a') + orsa.list_models('dan'))
    assert orsa.list_models('orsanet', '*') == []


def test_models_are_listed_by_their_task():
    found = orsa.list_models(task='Facial Expression Recognition')
    without = orsa.list_models(task='null')
    assert {'orsanet_face', 'dan_rafdb'} <= set(found)
    assert {'orsanet_demo', 'resnet18_rafdb'} <= set(without)
    # every model has one of them, and the patterns hold as well
    assert sorted(found + without) == orsa.list_models()
    assert orsa.list_models('resnet18', ['*lite'],
                            'null') == ['resnet18_rafdb']
    with pytest.raises(
            ValueError,
            match=r"'Image Classification'.*'Facial Expression Rec.*'null'"):
        orsa.list_models(task='Image Classification')


def test_every_listed_name_has_a_config():
    for name, row in metafile_rows().items():
        path = config_path(row['config'].removeprefix('orsa::'))
        assert path.endswith(f'/{name}.py')
    shipped = {(r['config'], r['weights'])
               for r in metafile_rows().values() if r['weights']}
    assert shipped == set(MODELS_BY_NAME.values())


def test_a_pretrained_model_has_the_shipped_weights():
    model = orsa.get_model('orsanet_lite', pretrained=True)
    state = load_checkpoint_file('orsa://orsanet_lite.pth')['state_dict']
    own = model.state_dict()
    assert set(state) == set(own)
    assert all(
        torch.equal(own[k], v.to(own[k].dtype)) for k, v in state.items())
    assert not model.training
    assert len(model.dataset_meta['classes']) == 7


def test_a_model_without_weights_and_with_other_settings():
    model = orsa.get_model('resnet18_rafdb', head=dict(num_classes=5))
    inputs = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert model(inputs, mode='tensor').shape == (1, 5)
    with pytest.raises(ValueError, match="'resnet18_rafdb' has no weights"):
        orsa.get_model('resnet18_rafdb', pretrained=True)
    with pytest.raises(ValueError, match=r"'resnet19'.*list_models\(\)"):
        orsa.get_model('resnet19')


def test_a_config_and_its_load_from(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'orsa::orsanet_lite_rafdb.py'\n"
                      "load_from = 'orsa://orsanet_lite.pth'\n")
    expected = init_model('orsanet_lite').state_dict()
    for given in (str(config), Config.fromfile(config)):
        found = orsa.get_model(given, pretrained=True).state_dict()
        assert all(torch.equal(found[k], v) for k, v in expected.items())
    other = orsa.get_model(str(config)).state_dict()
    assert not torch.equal(other['head.fc.weight'], expected['head.fc.weight'])


def test_inference_of_one_image():
    expected = orsa.FERInferencer()(str(FACE))['predictions'][0]
    found = orsa.inference_model(
        'orsanet_face', str(FACE), min_confidence=1., batch_size=2)
    assert len(found.faces) == 3
    for face, other in zip(found.faces, expected.faces):
        assert face.scores == pytest.approx(other.scores, abs=1e-4)
        assert face.abstain  # the argument of FERInferencer arrived
    model = orsa.get_model('orsanet_face', pretrained=True)
    by_torch = orsa.inference_model(model, str(FACE))
    assert [f.expression
            for f in by_torch.faces] == [f.expression for f in expected.faces]


def test_the_hub_that_was_imported_before():
    run = subprocess.run([
        sys.executable, '-c', 'import mmengine.hub, orsa; print('
        "mmengine.hub.get_config('orsa::orsanet_rafdb.py').default_scope)"
    ],
                         capture_output=True,
                         text=True)
    assert run.stdout.strip() == 'mmpretrain', run.stderr


@pytest.mark.parametrize('name', sorted(available_models()))
def test_the_hub_of_mmengine(name):
    """Which reads ``orsa/.mim``."""
    from mmengine.hub import get_config, get_model
    config, weights = MODELS_BY_NAME[name]
    cfg = get_config(config, pretrained=True)
    assert cfg.model_path == weights
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = get_model(config, pretrained=True).eval()
    inputs = torch.rand(1, 3, 112, 112)
    with torch.no_grad():
        assert torch.allclose(
            model(inputs, mode='tensor'),
            init_model(name)(inputs, mode='tensor'),
            atol=1e-5)


def test_the_hub_says_what_does_not_ship():
    from mmengine.hub import get_config, get_model
    assert 'model_path' not in get_config('orsa::orsanet_rafdb.py')
    with pytest.raises(ValueError, match="'orsa::orsanet_rafdb.py' ship"):
        get_config('orsa::orsanet_rafdb.py', pretrained=True)
    with pytest.raises(FileNotFoundError, match="no config 'none.py'"):
        get_config('orsa::none.py')
    for without in (get_config, get_model, orsa.get_model):
        with pytest.raises(
                FileNotFoundError, match="type 'orsa::ors.*_face.py'"):
            without('orsa::orsanet_face')


def test_mim_finds_all_that_model_index_names():
    """The links in ``orsa/.mim`` lead there, in an editable install too."""
    from modelindex.load_model_index import load
    folder = Path(orsa.__file__).parent / '.mim'
    index = load(str(folder / 'model-index.yml'))
    index.build_models_with_collections()
    assert {m.name for m in index.models} == set(orsa.list_models())
    for model in index.models:
        assert (folder / model.config).is_file()
    for name in ('train.py', 'test.py', 'dist_train.sh', 'slurm_train.sh'):
        assert (folder / 'tools' / name).is_file()  # what `mim train` runs


def test_no_face_is_said(recwarn):
    crop = np.full((48, 48, 3), 127, np.uint8)
    assert not orsa.inference_model('orsanet_face', crop).faces
    assert 'aligned=True' in str(recwarn.pop(UserWarning).message)
    assert orsa.inference_model('orsanet_face', crop, aligned=True).faces


@pytest.mark.parametrize('argument, said', [
    (dict(show=True), 'return_vis=True'),
    (dict(show_dir='out'), 'orsa predict IMAGE --out DIR'),
    (dict(out_dir='out'), 'orsa predict IMAGE --out DIR'),
    (dict(pretrained=True), 'weights=FILE'),
    (dict(return_vis=True), 'return_vis=True'),
])
def test_arguments_of_mmpretrain_say_what_to_type(argument, said):
    with pytest.raises(TypeError, match=said) as found:
        orsa.inference_model('orsanet_face', str(FACE), **argument)
    assert '\n' not in str(found.value)


def test_results_of_mmpretrain_say_what_to_type():
    result = orsa.inference_model('orsanet_face', str(FACE))
    for key in ('pred_class', 'pred_score', 'pred_label'):
        with pytest.raises(TypeError, match=r'faces\[0\].expression'):
            result[key]
        with pytest.raises(AttributeError, match=r'faces\[0\].expression'):
            getattr(result, key)
    with pytest.raises(AttributeError, match="^ImageResult has no 'class'$"):
        getattr(result, 'class')
    # a class that answers any name has to be copied and pickled all the same
    again = pickle.loads(pickle.dumps(copy.deepcopy(result)))
    assert again.faces[0].scores == result.faces[0].scores


@pytest.mark.parametrize('package', ['orsa', 'orsa.apis'])
def test_names_of_mmpretrain_say_what_to_type(package):
    scope = {}
    exec(f'from {package} import init_model, inference_model, list_models',
         scope)
    assert scope['init_model'] is init_model
    for name, said in (('ImageClassificationInferencer', 'type FERInferencer'),
                       ('FeatureExtractor', 'return_embedding=True')):
        with pytest.raises(ImportError, match=f'no {name}: .*{said}'):
            exec(f'from {package} import {name}')
    with pytest.raises(ImportError, match='NLVRInferencer'):
        exec(f'from {package} import NLVRInferencer')
