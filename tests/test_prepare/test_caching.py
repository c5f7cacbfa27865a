# Copyright (c) orsa contributors. All rights reserved.
"""Priors from the disk are those computed anew, or refused with a reason."""
import argparse
import copy
import json
import multiprocessing
import os
import pickle
import resource
import runpy
import shutil
import signal

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

from orsa.apis import load_config, testing
from orsa.apis.training import add_train_arguments, train
from orsa.datasets.drawing import draw_face
from orsa.engine.prior_cache.identity import clean_pipeline
from orsa.engine.prior_cache.serving import use_prior_cache
from orsa.models.utils.same_batch import provide
from orsa.prepare import cache_priors as caching
from orsa.prepare.cache_priors import (add_cache_arguments, build_priors,
                                       cache_priors)
from orsa.utils.prior_cache import CacheError

CONFIG = """
_base_ = 'orsa::_base_/default_runtime.py'
flip = [
    dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale=(32, 32), backend='pillow'),
    dict(type='PackInputs')]
plain = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32), backend='pillow'),
    dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=4, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='train',
                 pipeline=flip))
val_dataloader = dict(
    batch_size=4, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='orsa.RAFDB', data_root='{root}', split='test',
                 pipeline=plain))
test_dataloader = val_dataloader
val_evaluator = dict(type='orsa.FERMetric')
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
train_cfg = dict(type='orsa.SAMTrainLoop', max_epochs=1)
optim_wrapper = dict(type='orsa.SAMOptimWrapper',
                     optimizer=dict(type='SGD', lr=1e-2))
randomness = dict(seed=0)
mean = [120., 110., 100.]
std = [60., 60., 60.]
tiny = dict(type='orsa.IRNet', arch=dict(depths=(1, 1), channels=(8, 16)))
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=mean, std=std, to_rgb=True, num_classes=7),
    backbone=dict(
        type='orsa.ORSANet', image_encoder=tiny, image_size=32,
        embed_dims=16, grid=4,
        parsing_prior=dict(
            type='orsa.ParsingPrior', output='probs', num_classes=11,
            input_mean=mean, input_std=std, checkpoint='{root}/parsing.pth',
            model=dict(
                type='mmseg.EncoderDecoder', backbone=tiny,
                decode_head=dict(
                    type='FCNHead', in_channels=16, channels=8, num_convs=1,
                    num_classes=11, concat_input=False))),
        landmark_prior=dict(
            type='orsa.LandmarkPrior', model=tiny, input_mean=mean,
            input_std=std, checkpoint='{root}/landmark.pth')),
    neck=dict(
        type='orsa.ORSANetNeck',
        parsing_encoder=dict(type='orsa.MapEncoder', in_channels=11,
                             out_channels=8, grid=4, halvings=1),
        landmark_encoder=dict(type='orsa.MapEncoder', in_channels=16,
                              out_channels=16, grid=4, halvings=1),
        semantic_guidance=dict(type='orsa.SemanticGuidance', in_channels=16,
                               condition_channels=8),
        cross_interaction=dict(
            type='orsa.MultiScaleCrossInteraction', embed_dims=16,
            num_tokens=16, num_heads=2, depth=1)),
    head=dict(type='orsa.DAREHead', num_classes=7, in_channels=16))
"""
ERASE = dict(type='RandomErasing', erase_prob=1., mode='const')


def arguments(add, *args) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser)
    return parser.parse_args([str(a) for a in args])


def cache(*args) -> list:
    return cache_priors(arguments(add_cache_arguments, *args))


def save_priors(root, cfg) -> None:
    for field, name in (('parsing_prior', 'parsing'), ('landmark_prior',
                                                       'landmark')):
        prior = MODELS.build(
            dict(cfg.model.backbone[field], allow_untrained='quiet'))
        for module in prior.model.modules():  # so that outputs differ
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, std=0.2)
        torch.save(prior.model.state_dict(), root / f'{name}.pth')


def test_pixels_of_a_csv_file(tmp_path):
    votes = ['Usage,Image name,neutral,happiness,surprise,sadness,anger,'
             'disgust,fear,contempt,unknown,NF']  # yapf: disable
    pixels = ['emotion,pixels,Usage']
    for i in range(4):
        votes.append(f'Training,fer{i:07d}.png,0,10' + ',0' * 8)
        face = draw_face('happiness', rng=np.random.default_rng(i), size=48)
        grey = cv2.cvtColor(face['img'], cv2.COLOR_BGR2GRAY)
        pixels.append(f'0,{" ".join(map(str, grey.ravel()))},Training')
    (tmp_path / 'fer2013new.csv').write_text('\n'.join(votes))
    (tmp_path / 'fer2013.csv').write_text('\n'.join(pixels))
    config = tmp_path / 'tiny.py'
    config.write_text(
        CONFIG.replace('orsa.RAFDB',
                       'orsa.FERPlus').replace('{root}', str(tmp_path)))
    save_priors(tmp_path, load_config(str(config)))
    assert cache(config, '--split', 'train', '--out',
                 tmp_path / 'cache') == ['train']
    rows = np.load(tmp_path / 'cache/train/landmarks.npy')
    assert rows.shape[:2] == (4, 2) and len(np.unique(rows[:, 0], axis=0)) == 4


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Ten drawn training faces and three to test, a config and its cache."""
    root = tmp_path_factory.mktemp('faces')
    images = root / 'basic/Image/aligned'
    images.mkdir(parents=True)
    lines = []
    for i in range(13):
        name = f'train_{i:05}' if i < 10 else f'test_{i:04}'
        lines.append(f'{name}.jpg {i % 7 + 1}')
        face = draw_face(
            'happiness', rng=np.random.default_rng(i), size=48)['img']
        cv2.imwrite(str(images / f'{name}_aligned.jpg'), face)
    labels = root / 'basic/EmoLabel/list_patition_label.txt'
    labels.parent.mkdir()
    labels.write_text('\n'.join(lines))
    config = root / 'tiny.py'
    config.write_text(CONFIG.replace('{root}', str(root)))
    save_priors(root, load_config(str(config)))
    assert cache(config, '--out', root / 'cache') == ['train', 'val']
    return root


@pytest.fixture
def mine(made, tmp_path):
    """A copy that a test may spoil."""
    root = tmp_path / 'mine'
    shutil.copytree(made, root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    return root


def config_of(root, **options) -> Config:
    cfg = load_config(str(root / 'tiny.py'))
    cfg.merge_from_dict(dict(prior_cache=str(root / 'cache'), **options))
    return cfg


def refused(root, match, splits=('train', 'val'), checkpoint=None, **options):
    with pytest.raises(CacheError, match=match) as error:
        use_prior_cache(config_of(root, **options), splits, checkpoint)
    return str(error.value)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_cached_is_what_the_priors_give(made, split, flip):
    cfg = config_of(made)
    use_prior_cache(cfg, ('train', 'val'))
    dataset = cfg[f'{split}_dataloader'].dataset
    pipeline = list(dataset.pipeline)
    if split == 'train':
        pipeline[1] = dict(pipeline[1], prob=float(flip))
    elif flip:
        pipeline.insert(1, dict(type='RandomFlip', prob=1.))
    dataset = DATASETS.build(dict(dataset, pipeline=pipeline))
    batch = [dataset[i] for i in range(len(dataset))]
    data = MODELS.build(cfg.model.data_preprocessor)(
        dict(
            inputs=torch.stack([b['inputs'] for b in batch]),
            data_samples=[b['data_samples'] for b in batch]))
    inputs = data['inputs']
    assert set(inputs.orsa_auxiliary) == {'prior_parsing', 'prior_landmarks'}
    for prior in build_priors(cfg).values():
        live = prior(inputs.clone())  # a clone has no companions
        given = prior(inputs)
        assert given.dtype == torch.float32 and given.shape == live.shape
        assert live.std(0).max() > 1e-2
        # half a unit in the last place of float16
        torch.testing.assert_close(given, live, rtol=1e-3, atol=1e-4)


def test_mirrored_rows_are_no_mirrored_rows(made):
    rows = np.load(made / 'cache/train/parsing.npy', mmap_mode='r')
    assert rows.shape[:2] == (10, 2) and rows.dtype == np.float16
    assert np.abs(rows[:, 1] - rows[:, 0]).max() > 1e-2
    assert np.abs(rows[:, 1] - rows[:, 0, ..., ::-1]).max() > 1e-2


def losses(root, work, *options) -> list:
    torch.manual_seed(0)
    args = arguments(add_train_arguments, root / 'tiny.py', '--work-dir', work,
                     '--max-iters', 2, '--no-validate', '--cfg-options',
                     'default_hooks.logger.interval=1',
                     f'experiment_name={work.name}', *options)
    train(args)
    path = next(work.glob('2*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in path.open()]
    return [line['loss'] for line in lines if 'loss' in line]


def test_trains_alike_and_computes_no_prior(made, tmp_path, monkeypatch):
    live = losses(made, tmp_path / 'live')
    from orsa.models.priors import FrozenPrior
    compute, sizes = FrozenPrior.predict, []
    monkeypatch.setattr(
        FrozenPrior, 'predict', lambda self, x:
        (sizes.append(len(x)), compute(self, x))[1])
    cached = losses(made, tmp_path / 'cached', f'prior_cache={made}/cache')
    assert len(live) == 2 and live[0] != live[1]
    assert cached == pytest.approx(live, abs=2e-3)
    # a single image each, to know the shape
    assert sizes == [1, 1]

    # a dumped config goes on to work, with the same cache
    dumped = next((tmp_path / 'cached').glob('tiny.py'))
    cfg = load_config(str(dumped))
    use_prior_cache(cfg, ('train', ))
    kinds = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert kinds.count('orsa.LoadCachedPriors') == 1

    # the trained checkpoint has the same priors in it
    checkpoint = tmp_path / 'live/epoch_1.pth'
    args = arguments(testing.add_test_arguments, made / 'tiny.py', checkpoint,
                     '--work-dir', tmp_path / 'test', '--cfg-options',
                     f'prior_cache={made}/cache')
    # the test split has the pictures of the val split
    sizes.clear()
    testing.test(args)
    assert sizes == [1, 1]


def test_a_cache_that_is_up_to_date_is_left_alone(made, capsys):
    files = [p for p in (made / 'cache').rglob('*') if p.is_file()]
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}
    assert cache(made / 'tiny.py', '--out', made / 'cache') == []
    out = capsys.readouterr().out
    assert 'up to date' in out and 'test: the same images as val' in out
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}
    assert len(files) == 2 * 6


def test_force_gives_the_same_rows(mine):
    path = mine / 'cache/val/parsing.npy'
    before = path.read_bytes()
    assert cache(mine / 'tiny.py', '--out', mine / 'cache', '--split', 'val',
                 '--force') == ['val']
    assert path.read_bytes() == before


def test_stale_config(mine):
    message = refused(
        mine, 'another config, which differs in: preprocessor, pipeline|'
        'differs in: landmarks',
        **{'model.backbone.landmark_prior.input_size': 16})
    assert 'differs in: landmarks.' in message
    assert 'python tools/cache_priors.py' in message
    assert f'--split train --out {mine}/cache' in message
    refused(mine, 'differs in: preprocessor',
            **{'model.data_preprocessor.to_rgb': False})
    refused(mine, 'differs in: pipeline',
            **{'train_dataloader.dataset.pipeline.2.scale': (24, 24)})
    # where the file lies is no matter
    other = mine / 'elsewhere.pth'
    shutil.copy(mine / 'parsing.pth', other)
    use_prior_cache(
        config_of(mine,
                  **{'model.backbone.parsing_prior.checkpoint': str(other)}),
        ('train', ))


def test_other_weights(mine, tmp_path):
    cfg = config_of(mine)
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.backbone.init_weights()
    whole = tmp_path / 'whole.pth'
    torch.save(dict(state_dict=model.half().state_dict()), whole)
    use_prior_cache(cfg, ('train', ), str(whole))  # rounded, but the same

    save_priors(mine, cfg)
    match = "parsing prior was computed with other weights than those of '?"
    refused(mine, match + "the config's")
    # computed anew it serves, but no longer with the older checkpoint
    assert cache(mine / 'tiny.py', '--out', mine / 'cache', '--split',
                 'train') == ['train']
    use_prior_cache(config_of(mine), ('train', ))
    refused(mine, match + f'{whole}', ('train', ), str(whole))
    # which can be what a cache is computed from
    assert cache(mine / 'tiny.py', '--out', mine / 'cache', '--split', 'train',
                 '--checkpoint', whole) == ['train']
    use_prior_cache(config_of(mine), ('train', ), str(whole))
    refused(mine, match + "the config's")


def test_other_samples(mine):
    labels = mine / 'basic/EmoLabel/list_patition_label.txt'
    images = mine / 'basic/Image/aligned'
    face = draw_face(
        'happiness', rng=np.random.default_rng(99), size=56)['img']
    cv2.imwrite(str(images / 'train_00003_aligned.jpg'), face)
    refused(mine, '1 of 10 images are other files .*train_00003')
    labels.write_text(labels.read_text() + '\ntrain_00777.jpg 1\n')
    cv2.imwrite(str(images / 'train_00777_aligned.jpg'), face)
    refused(mine, '1 of 11 images are others .*train_00777')
    # a part of what is cached is served
    use_prior_cache(
        config_of(mine, **{'train_dataloader.dataset.indices': [0, 1]}),
        ('train', ))


@pytest.mark.parametrize('spoil, match', [
    (lambda p: (p / 'manifest.json').unlink(), 'is not complete'),
    (lambda p: (p / 'manifest.json').write_text('{"format": 1'), 'damaged'),
    (lambda p: (p / 'manifest.json').write_text('[]'), 'damaged'),
    (lambda p: (p / 'landmarks.npy').unlink(), r'landmarks\.npy.* missing'),
    (lambda p: (p / 'samples.json').unlink(), r'samples\.json.* missing'),
    (lambda p: (p / 'samples.json').write_text('{}'), 'samples.*damaged'),
    (lambda p: os.truncate(p / 'parsing.npy', 5000), r'parsing\.npy.*damaged'),
    (lambda p: np.save(p / 'parsing.npy', np.zeros(3)), 'float64 of shape'),
])
def test_partial_or_damaged(mine, spoil, match):
    spoil(mine / 'cache/train')
    assert 'python tools/cache_priors.py' in refused(mine, match)
    assert cache(mine / 'tiny.py', '--out', mine / 'cache') == ['train']
    use_prior_cache(config_of(mine), ('train', 'val'))


def test_a_damaged_row_is_noticed_when_read(mine, capsys):
    path = mine / 'cache/train/parsing.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    transform = TRANSFORMS.build(
        dict(type='orsa.LoadCachedPriors', cache=str(path.parent)))
    good = transform(dict(name='train_00009'))
    assert good['prior_parsing'].dtype == np.float32
    with pytest.raises(CacheError, match='row 9'):
        transform(
            dict(name='train_00009', flip=True, flip_direction='horizontal'))
    assert cache(mine / 'tiny.py', '--out', mine / 'cache') == ['train']
    assert 'computing' in capsys.readouterr().out


def test_the_transform_says_what_it_cannot_do(made):
    build = dict(type='orsa.LoadCachedPriors', cache=f'{made}/cache/train')
    transform = TRANSFORMS.build(build)
    with pytest.raises(CacheError, match="'somebody'"):
        transform(dict(name='somebody'))
    with pytest.raises(CacheError, match="'vertical'"):
        transform(
            dict(name='train_00001', flip=True, flip_direction='vertical'))
    with pytest.raises(CacheError, match='img_path'):
        transform(dict())
    with pytest.raises(ValueError, match="'parsing'"):
        TRANSFORMS.build(dict(build, priors=('depth', )))
    with pytest.raises(CacheError, match='there is no folder'):
        TRANSFORMS.build(dict(build, cache=f'{made}/nowhere'))
    # goes to a worker without the arrays
    assert len(pickle.dumps(transform)) < 10_000


def test_geometric_transforms_are_refused_by_name(made, caplog):
    place = 'train_dataloader.dataset.pipeline'
    pipeline = load_config(str(made / 'tiny.py')).flip
    options = {place: [*pipeline[:3], ERASE, pipeline[3]]}
    message = refused(made, 'train pipeline has RandomErasing', **options)
    assert 'prior_cache_approximate=True' in message
    cfg = config_of(made, prior_cache_approximate=True, **options)
    use_prior_cache(cfg, ('train', ))
    kinds = [t['type'] for t in cfg.train_dataloader.dataset.pipeline]
    assert kinds[-3:] == [
        'RandomErasing', 'orsa.LoadCachedPriors', 'PackInputs'
    ]
    vertical = dict(type='RandomFlip', prob=0.5, direction='vertical')
    refused(made, 'direction=vertical', **{place: [vertical, *pipeline]})
    refused(made, '2 transforms .* flip', **{place: [pipeline[1], *pipeline]})


def test_clean_pipeline_of_the_lite_model():
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    kept, changed = clean_pipeline([
        dict(type='LoadImageFromFile'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='Rotate', magnitude=3.),
        dict(type='RandomResizedCrop', scale=112, backend='pillow'),
        dict(type='PackInputs')
    ])
    assert changed == ['Rotate', 'RandomResizedCrop']
    assert kept[1:] == [
        dict(type='Resize', scale=(112, 112), backend='pillow')
    ]
    kept, changed = clean_pipeline([
        dict(type='LoadImageFromFile'),
        dict(type='orsa.RandomFaceAffine', size=112)
    ], True)
    assert changed == ['RandomFaceAffine']
    assert kept[1]['flip_prob'] == 1 and kept[1]['prob'] == 0
    assert clean_pipeline(pipeline)[1]


def test_a_split_without_a_cache_computes_its_priors(mine):
    shutil.rmtree(mine / 'cache/val')
    cfg = config_of(mine)
    use_prior_cache(cfg, ('train', 'val'))
    assert len(cfg.val_dataloader.dataset.pipeline) == 3
    assert cfg.model.data_preprocessor.type == 'orsa.CompanionDataPreprocessor'
    assert cfg.model.data_preprocessor.num_classes == 7
    refused(mine, 'has none of the splits val', ('val', ))
    shutil.rmtree(mine / 'cache')
    refused(mine, 'has none of the splits train, val.*cache_priors.py')


def test_what_cannot_be_cached(mine):
    out = ('--out', mine / 'other', '--split', 'train')
    prior = 'model.backbone.parsing_prior'
    with pytest.raises(CacheError, match='drift=True'):
        cache(mine / 'tiny.py', *out, '--cfg-options', f'{prior}.drift=True')
    wrong = mine / 'wrong.py'
    wrong.write_text(f"""_base_ = 'tiny.py'
model = dict(backbone=dict(parsing_prior=dict(
    _delete_=True, type='orsa.LandmarkPrior', model={{{{_base_.tiny}}}},
    checkpoint='{mine}/landmark.pth')))
""")
    with pytest.raises(CacheError, match='LandmarkPrior'):
        cache(wrong, *out)
    with pytest.raises(ValueError, match='--out'):
        cache(mine / 'tiny.py')
    (mine / 'parsing.pth').unlink()
    with pytest.raises(FileNotFoundError, match='parsing.pth'):
        cache(mine / 'tiny.py', *out)
    assert not (mine / 'other/train/manifest.json').exists()


def test_synthetic_faces_have_nothing_to_cache():
    with pytest.raises(CacheError, match='DrawSyntheticFace'):
        clean_pipeline([dict(type='orsa.DrawSyntheticFace')])


def forked(function):
    """The exit code of a process that calls a function."""
    process = multiprocessing.get_context('fork').Process(target=function)
    process.start()
    process.join()
    return process.exitcode


def test_a_full_disk_is_found_before_it_is_written_to(mine):
    """Writing to a map for which there is no room would be a SIGBUS."""

    def full():
        # more than what pytest has captured
        resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
        with pytest.raises(OSError, match=r'other/train/\w+\.npy'):
            cache(mine / 'tiny.py', '--split', 'train', '--out',
                  mine / 'other')

    assert forked(full) == 0
    assert not list((mine / 'other/train').iterdir())


def test_killed_half_way_leaves_nothing_complete(mine, monkeypatch):
    args = (mine / 'tiny.py', '--out', mine / 'cache', '--split', 'train')
    write = caching._Writer.write

    def killed(self, name, indices, flip, rows):
        write(self, name, indices, flip, rows)
        if indices[0] == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(caching._Writer, 'write', killed)
        assert forked(lambda: cache(*args, '--force')) == -signal.SIGKILL
    refused(mine, 'is not complete')
    # even where all else is there from before
    assert (mine / 'cache/train/parsing.npy').exists()
    assert list((mine / 'cache/train').glob('.tmp_*'))
    assert cache(*args) == ['train']
    assert not list((mine / 'cache/train').glob('.tmp_*'))
    use_prior_cache(config_of(mine), ('train', ))


def test_folds_are_cached_by_the_model_that_has_not_seen_them(mine):
    folds = []
    cfg = config_of(mine)
    for k in range(2):
        torch.manual_seed(k)
        save_priors(mine / 'cache', cfg)  # a folder that is there
        folds.append(str(mine / f'fold{k}.pth'))
        shutil.move(mine / 'cache/landmark.pth', folds[-1])
    options = {
        'model.backbone.landmark_prior.fold_checkpoints': folds,
        'train_dataloader.dataset.num_folds': 2
    }
    refused(mine, 'landmarks prior .* other fold_checkpoints', **options)
    shell = [
        f'model.backbone.landmark_prior.fold_checkpoints={",".join(folds)}',
        'train_dataloader.dataset.num_folds=2'
    ]
    cache(mine / 'tiny.py', '--out', mine / 'cache', '--split', 'train',
          '--cfg-options', *shell)
    cfg = config_of(mine, **options)
    use_prior_cache(cfg, ('train', ))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    number = {
        dataset.get_data_info(i)['name']: dataset.get_data_info(i)['fold']
        for i in range(len(dataset))
    }
    assert set(number.values()) == {0, 1}
    prior = build_priors(cfg)['landmarks']
    plain = dict(cfg.test_dataloader.dataset, split='train')
    samples = DATASETS.build(plain)
    inputs = torch.stack([s['inputs'] for s in samples])
    x = MODELS.build(cfg.model.data_preprocessor)(dict(inputs=inputs))
    x = provide(x['inputs'].clone(), fold=torch.tensor(list(number.values())))
    rows = np.load(mine / 'cache/train/landmarks.npy')[:, 0]
    torch.testing.assert_close(
        torch.tensor(rows).float(), prior(x), rtol=1e-3, atol=1e-3)
    assert (prior(x) - prior(x.clone())).abs().max() > 0.1
    # another division into folds, the same names
    refused(mine, 'are in other folds', ('train', ),
            **dict(options, **{'train_dataloader.dataset.val_seed': 5}))


def test_the_command(mine, repo_root, monkeypatch, capsys):
    shutil.rmtree(mine / 'cache/val')
    monkeypatch.setattr('sys.argv', [
        'cache_priors.py',
        str(mine / 'tiny.py'), '--split', 'val', '--cfg-options',
        f'prior_cache={mine}/cache'
    ])
    runpy.run_path(str(repo_root / 'tools/cache_priors.py'), {}, '__main__')
    assert 'parsing (3, 2, 11, 32, 32)' in capsys.readouterr().out
    use_prior_cache(config_of(mine), ('train', 'val'))


def test_nothing_happens_without_the_switch(made):
    cfg = load_config(str(made / 'tiny.py'))
    before = cfg.pretty_text
    use_prior_cache(cfg, ('train', 'val'))
    assert cfg.pretty_text == before
