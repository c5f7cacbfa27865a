# Copyright (c) orsa contributors. All rights reserved.
"""The scripts that analyse and draw write their plots and tables."""
import json
import runpy
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_suite import CONFIG, NUM, make_faces, make_model

from orsa import cli
from orsa.analysis import browse as browsing
from orsa.analysis import embedding
from orsa.analysis.browse import browse
from orsa.analysis.cam import METHODS, grad_cam
from orsa.analysis.embedding import Features, draw_features, features, to_plane
from orsa.analysis.inputs import packed_samples, read_config
from orsa.analysis.plots import draw_confusion
from orsa.apis import build_model, load_config
from orsa.visualization.annotations import draw_annotations
from orsa.visualization.embedding import plot_embedding

BLUE, ORANGE = (233, 180, 86), (0, 94, 213)  # BGR


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('faces')
    make_faces(root)
    (root / 'tiny.py').write_text(CONFIG.replace('{root}', str(root)))
    make_model(root / 'tiny.py', root / 'tiny.pth')
    return root


@pytest.fixture
def call(repo_root, monkeypatch, capsys):
    """Run a script in this process and return what it printed."""

    def run(name, *args):
        script, = map(str, (repo_root / 'tools').glob(f'*/{name}'))
        monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
        runpy.run_path(script, run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize('name', [
    'browse_dataset.py', 'confusion_matrix.py', 'get_flops.py',
    'print_config.py', 'reliability.py', 'vis_attention.py', 'vis_cam.py',
    'vis_tsne.py', 'worst_mistakes.py'
])
def test_help_has_an_example(call, repo_root, capsys, name):
    with pytest.raises(SystemExit) as stop:
        call(name, '--help')
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    script, = (repo_root / 'tools').glob(f'*/{name}')
    assert f'python {script.relative_to(repo_root)}' in printed


def test_print_config_is_a_config(call, folder, tmp_path):
    printed = call('print_config.py', folder / 'tiny.py', '--cfg-options',
                   'model.head.num_classes=5')
    # a line of MMEngine's about $ORSA_RAFDB may come first
    text = printed[printed.index('default_hooks'):]
    (tmp_path / 'again.py').write_text(text)
    again = Config.fromfile(tmp_path / 'again.py')
    assert again.model.head.num_classes == 5
    before = load_config(str(folder / 'tiny.py'))
    assert again.test_dataloader == before.test_dataloader


def test_flops_by_part(call, folder):
    printed = call('get_flops.py', folder / 'tiny.py')
    rows = {
        line.split()[0]: [int(v.replace(',', '')) for v in line.split()[1:]]
        for line in printed.splitlines()
        if line.split()[0] in ('backbone', 'neck', 'head', 'all')
    }
    assert 'input (3, 32, 32)' in printed
    assert rows['head'] == [8 * 7 + 7, 8 * 7 + 7, 8 * 7]
    total = np.sum([rows[k] for k in ('backbone', 'neck', 'head')], axis=0)
    assert total.tolist() == rows['all']


def classifier(folder):
    cfg = load_config(str(folder / 'tiny.py'))
    return build_model(cfg).eval()


def test_cam_is_the_weighted_map(folder):
    """With average pooling and one linear layer Grad-CAM is CAM."""
    model = classifier(folder)
    inputs = torch.randn(2, 3, 32, 32)
    found, logits = grad_cam(model, 'backbone', inputs, [3, 5])
    with torch.no_grad():
        feature = model.backbone(inputs)[-1]
        weights = model.head.fc.weight[[3, 5]]
        expected = torch.einsum('bd,bdhw->bhw', weights, feature).relu()
        assert torch.allclose(logits, model(inputs), atol=1e-5)
    expected = torch.nn.functional.interpolate(
        expected[:, None], (32, 32), mode='bilinear', align_corners=False)
    expected = expected[:, 0] / expected.amax(dim=(1, 2, 3))[:, None, None]
    assert found.shape == (2, 32, 32) and found.max() == 1
    assert np.allclose(found, expected.numpy(), atol=1e-5)


def test_cam_says_what_is_wrong(folder):
    model, inputs = classifier(folder), torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match="'body'.*'backbone'"):
        grad_cam(model, 'body', inputs)
    with pytest.raises(ValueError, match=r'\(1, 7\)'):
        grad_cam(model, 'head.fc', inputs)
    model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match='gradients'):
        grad_cam(model, 'backbone', inputs)


class Weighed(torch.nn.Module):
    """Each logit is a weighted sum over a map, which is the image."""

    def __init__(self, weights):
        super().__init__()
        self.backbone = torch.nn.Conv2d(2, 2, 1, bias=False)
        self.backbone.weight.data = torch.eye(2)[..., None, None]
        self.weights = torch.tensor(weights)

    def forward(self, inputs, mode):
        return torch.einsum('bdhw,cdhw->bc', self.backbone(inputs),
                            self.weights)


def test_cams_by_hand():
    """Two channels of two places, and a class with these gradients."""
    feature = np.array([[1., 3.], [2., 4.]])
    gradient = np.array([[.5, -.25], [.125, .5]])

    def plus_plus(channel):
        """The paper's equations 10 and 19, with the exponential."""
        score = np.exp((feature * gradient).sum())
        total = 0
        for g in gradient[channel]:
            alpha = score * g**2 / (2 * score * g**2 +
                                    sum(feature[channel]) * score * g**3)
            total += alpha * max(score * g, 0)
        return total

    expected = {
        'gradcam': [.125 * 1 + .3125 * 2, .125 * 3 + .3125 * 4],
        'gradcam++':
        plus_plus(0) * feature[0] + plus_plus(1) * feature[1],
        # the mean gradient, by the share of the channel that a place has
        'xgradcam': (.5 * 1 / 4 - .25 * 3 / 4) * feature[0] +
        (.125 * 2 / 6 + .5 * 4 / 6) * feature[1],
        'layercam': [.5 * 1 + .125 * 2, .5 * 4],
    }
    assert list(expected) == list(METHODS)
    model = Weighed(np.float32([gradient[:, None], gradient[:, None] * 0]))
    inputs = torch.tensor(np.float32(feature[None, :, None]))
    for method, values in expected.items():
        found, _ = grad_cam(model, 'backbone', inputs, 0, method)
        assert found[0, 0] == pytest.approx(values / np.max(values)), method
        # a channel that is 0 adds nothing, a map that is 0 is all 0
        for channels in ([0], [0, 1]):
            bare = inputs.clone()
            bare[:, channels] = 0
            found, _ = grad_cam(model, 'backbone', bare, 0, method)
            assert found.max() == (len(channels) == 1), method
    with pytest.raises(ValueError, match=r"'eigencam', only \['gradcam', "):
        grad_cam(model, 'backbone', inputs, 0, 'eigencam')


def test_vis_cam(call, folder, tmp_path, capsys):
    face = next((folder / 'basic' / 'Image' / 'aligned').glob('*.jpg'))
    out = tmp_path / 'cam.png'
    call('vis_cam.py', folder / 'tiny.py', folder / 'tiny.pth', '--images',
         face, '--class', 'anger', '--out', out)
    sheet = cv2.imread(str(out))
    # the face, then the same with its map, each in a frame
    left, right = np.split(sheet[6:134], 2, axis=1)
    shown = cv2.resize(cv2.imread(str(face)), (32, 32))
    shown = cv2.resize(shown, (128, 128), interpolation=cv2.INTER_CUBIC)
    assert np.abs(left[:, 6:134].astype(int) - shown).mean() < 3
    assert np.abs(right[:, 6:134].astype(int) - shown).mean() > 8
    with pytest.raises(SystemExit, match='2'):
        call('vis_cam.py', folder / 'tiny.py', folder / 'tiny.pth', '--class',
             'joy', '--out', out)
    assert "does not know 'joy'" in capsys.readouterr().err


def test_images_in_place_of_synthetic_faces(folder):
    """A config that draws its faces takes files as others do."""
    face = str(next((folder / 'basic' / 'Image' / 'aligned').glob('*.jpg')))
    cfg = load_config(str(folder / 'tiny.py'))
    expected, = packed_samples(cfg, [face], 1)
    cfg.test_dataloader.dataset.pipeline[0] = dict(
        type='orsa.DrawSyntheticFace')
    found, = packed_samples(cfg, [face], 1)
    assert torch.equal(found['inputs'], expected['inputs'])


def test_vis_attention(call, folder, repo_root, tmp_path, capsys):
    images = sorted((folder / 'basic' / 'Image' / 'aligned').glob('*.jpg'))
    out = tmp_path / 'attention.png'
    call('vis_attention.py', 'orsa::orsanet_lite_rafdb.py',
         repo_root / 'orsa' / 'zoo' / 'orsanet_lite.pth', '--images',
         *images[:2], '--out', out)
    # two faces beside each other, each with three maps
    sheet = cv2.imread(str(out))
    assert sheet.shape == (172, 2 * (4 * 140 + 16), 3)
    shown = cv2.resize(cv2.imread(str(images[1])), (128, 128))
    cell = sheet[6:134, 582:710].astype(int)
    assert np.abs(cell - shown).mean() < 8
    for i in (1, 2, 3):
        assert np.abs(sheet[6:134, 582 + 140 * i:710 + 140 * i] -
                      cell).mean() > 8
    with pytest.raises(SystemExit, match='2'):
        call('vis_attention.py', folder / 'tiny.py', folder / 'tiny.pth', '-n',
             1, '--out', out)
    assert 'its neck is GlobalAveragePooling' in capsys.readouterr().err


def test_features_are_what_the_classifier_sees(folder):
    cfg = load_config(str(folder / 'tiny.py'))
    found, labels, classes, occluders, kinds, _ = features(
        cfg, str(folder / 'tiny.pth'), NUM)
    assert found.shape == (NUM, 8) and len(classes) == 7
    assert not occluders.any() and kinds == ['as they are']
    assert np.bincount(labels).tolist() == [3] * 7
    # the last layer on them gives the answers of the model
    model = classifier(folder)
    model.load_state_dict(torch.load(folder / 'tiny.pth')['state_dict'])
    picture = cv2.resize(
        cv2.imread(str(folder / 'basic/Image/aligned/test_0000_aligned.jpg')),
        (32, 32))
    inputs = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=inputs))
        expected = model(data['inputs'])[0]
        logits = model.head.fc(torch.from_numpy(found[0]))
    assert labels[0] == 0 and torch.allclose(logits, expected, atol=1e-3)


def test_vis_tsne(call, folder, tmp_path):
    out = tmp_path / 'tsne.png'
    call('vis_tsne.py', folder / 'tiny.py', folder / 'tiny.pth', '-n', 14,
         '--out', out)
    assert cv2.imread(str(out)).std() > 5


def test_features_of_occluded_faces(folder):
    cfg = load_config(str(folder / 'tiny.py'))
    weights = str(folder / 'tiny.pth')
    bare = features(cfg, weights, 7)
    found = features(cfg, weights, 7, ['square', 'mask'], 5)
    assert found.occluders.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert found.kinds[1:] == ['square, severity 5', 'mask, severity 5']
    assert found.labels.tolist() == bare.labels.tolist() * 3
    first, second, third = np.split(found.values, 3)
    assert np.array_equal(first, bare.values)
    # what the suite would ask the model about
    by_hand = cfg.copy()
    by_hand.test_dataloader.dataset.update(with_annotations=True)
    by_hand.test_dataloader.dataset.pipeline.insert(
        1, dict(type='orsa.OccludeFace', kinds='mask', severity=5))
    expected = features(by_hand, weights, 7).values
    assert np.allclose(third, expected, atol=1e-5)
    assert np.abs(second - third).max() > .01 < np.abs(first - third).max()


def test_features_by_a_list(folder):
    cfg = load_config(str(folder / 'tiny.py'))
    weights = str(folder / 'tiny.pth')
    found = features(cfg, weights, NUM, listed='occlusion_test.txt')
    assert found.kinds == ['nothing listed', 'really occluded']
    # faces are in the order of their classes, i % 7
    names = sorted(range(NUM), key=lambda i: (i % 7, i))
    listed = [names[i] for i in np.flatnonzero(found.occluders)]
    assert sorted(listed) == [2, 3, 5, 8, 9]
    with pytest.raises(ValueError, match='not both'):
        features(cfg, weights, NUM, ['hand'], listed='occlusion_test.txt')
    with pytest.raises(ValueError, match='is 0, expected 1 or more'):
        features(cfg, weights, 0)


def test_vis_tsne_by_occlusion(call, folder, tmp_path, capsys):
    one, two = tmp_path / 'one.png', tmp_path / 'two.png'
    paths = folder / 'tiny.py', folder / 'tiny.pth', '-n', 7, '--out'
    call('vis_tsne.py', *paths, one)
    call('vis_tsne.py', *paths, two, '--by', 'occlusion')
    assert cv2.imread(str(two)).shape[1] == 2 * cv2.imread(str(one)).shape[1]
    with pytest.raises(SystemExit):
        call('vis_tsne.py', *paths, two, '--list', 'occlusion_test.txt')
    assert '--by occlusion' in capsys.readouterr().err


def test_umap_is_asked_for_or_missed(monkeypatch):
    """By a stand-in: the package takes 200 MB, and ours is the asking."""
    asked = []

    class UMAP:

        def __init__(self, **kwargs):
            asked.append(kwargs)

        def fit_transform(self, values):
            return values[:, :2]

    values = np.arange(30.).reshape(10, 3)
    monkeypatch.setitem(sys.modules, 'umap', SimpleNamespace(UMAP=UMAP))
    assert np.array_equal(to_plane(values, 'umap', 4., 7), values[:, :2])
    to_plane(values, 'umap', 30.)
    assert asked == [
        dict(n_neighbors=4, random_state=7, n_jobs=1),
        dict(n_neighbors=9, random_state=0, n_jobs=1)
    ]
    titles = []
    monkeypatch.setattr(embedding, 'plot_embedding',
                        lambda *args: titles.append(args[-1]))
    labels = np.zeros(10, int)
    found = Features(values, labels, ['a'], labels, ['as they are'], 10)
    for method in ('umap', 'tsne'):  # which takes a third at most
        draw_features(found, 'x.png', method=method, neighbours=8)
    assert asked[-1]['n_neighbors'] == 8
    assert 'UMAP of 8 ' in titles[0] and titles[1].endswith('perplexity 3')
    monkeypatch.setitem(sys.modules, 'umap', None)
    with pytest.raises(ImportError, match='umap-learn'):
        to_plane(values, 'umap')
    with pytest.raises(ValueError, match='3 faces'):
        to_plane(values[:3])


def test_embedding_has_a_colour_for_each_class(tmp_path):
    out = tmp_path / 'points.png'
    plot_embedding(
        np.eye(3)[:, :2], {'': ([0, 1, 1], ('a', 'b', 'c'))}, str(out))
    pixels = cv2.imread(str(out)).reshape(-1, 3).astype(int)

    def near(colour):
        return (np.abs(pixels - colour).max(1) < 45).sum()

    # of #0072B2 and #D55E00 in BGR; #009E73 is that of a class without points
    assert near((178, 114, 0)) > 50 and near((0, 94, 213)) > 50
    assert near((115, 158, 0)) == 0


def test_confusion_matrix(call, tmp_path, capsys):
    report = dict(
        confusion_matrix=[[3, 1], [0, 2]],
        classes=['a', 'b'],
        accuracy=83.3,
        uar=87.5)
    (tmp_path / 'metrics.json').write_text(json.dumps(report))
    samples = [
        dict(name=str(i), label=label, scores=scores)
        for i, (label,
                scores) in enumerate([(0, [.9, .1]), (0,
                                                      [.2, .8]), (1,
                                                                  [.1, .9])])
    ]
    (tmp_path / 'said.json').write_text(
        json.dumps(dict(classes=['a', 'b'], samples=samples)))
    out = str(tmp_path / 'matrix.png')
    found = draw_confusion(str(tmp_path / 'said.json'), out)
    assert found.tolist() == [[1, 1], [0, 1]]
    call('confusion_matrix.py', tmp_path / 'metrics.json', '--out', out)
    assert cv2.imread(out).std() > 5
    with pytest.raises(SystemExit, match='2'):
        call('confusion_matrix.py', tmp_path / 'none.json')
    assert 'there is no file' in capsys.readouterr().err


def test_annotations_are_where_they_should_be():
    image = np.full((32, 32, 3), 128, np.uint8)
    seg = np.zeros((32, 32), np.uint8)
    seg[:8] = 1
    seg[8:16] = 255  # without a colour
    visible = np.ones((32, 32), np.uint8)
    visible[20:30, 20:30] = 0
    drawn = draw_annotations(
        image,
        keypoints=np.array([[4, 24], [24, 24]]),
        visible=np.array([1, 0]),
        seg_map=seg,
        visible_mask=visible,
        palette=((0, 0, 0), (255, 0, 0)),
        size=128)
    assert drawn.shape == (128, 128, 3)
    # half of red, as BGR
    assert np.abs(drawn[8, 8].astype(int) - (64, 64, 192)).max() <= 1
    assert drawn[48, 8].tolist() == [128] * 3
    # the centre of pixel 4 of 32 is at 17.5 of 128
    assert drawn[98, 18].tolist() == list(BLUE)
    assert drawn[98, 98].tolist() == list(ORANGE)
    assert drawn[80:120, 80].tolist() == [list(ORANGE)] * 40
    with pytest.raises(ValueError, match=r'seg_map is \(8, 8\)'):
        draw_annotations(image, seg_map=seg[:8, :8])


def test_browse_draws_what_the_pipeline_made(call, folder, tmp_path):
    config = tmp_path / 'train.py'
    config.write_text(f"""
_base_ = '{folder}/tiny.py'
train_dataloader = dict(dataset=dict(
    type='RepeatDataset', times=1,
    dataset=dict(
        type='orsa.RAFDB', data_root='{folder}', split='test',
        with_annotations=True,
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='orsa.OccludeFace', kinds='square', severity=5),
                  dict(type='PackInputs')])))
""")
    out = tmp_path / 'samples.png'
    call('browse_dataset.py', config, '-n', 7, '--size', 64, '--out', out)
    assert len(cv2.imread(str(out))) > 7 * 64

    class Args:
        cfg_options = {}

    Args.config = str(config)
    cfg = read_config(Args)
    rows = browse(cfg, str(out), count=7, size=64)
    assert len(rows) == 7 and 'anger' in rows
    plain = browse(cfg, str(out), count=7, size=64, plain=True)
    for name, (drawn, ) in rows.items():
        bare, = plain[name]
        # a black square is in both; its points, orange, in one
        assert (bare == 0).all(2).mean() > .1
        assert (drawn == ORANGE).all(2).sum() > 20
        assert (bare == ORANGE).all(2).sum() == 0


def test_browse_follows_what_was_resized(folder, tmp_path):
    """As docs/datasets.md has it: OccludeFace, then Resize."""

    def outlines(*last):
        config = tmp_path / 'train.py'
        config.write_text(f"""
_base_ = '{folder}/tiny.py'
train_dataloader = dict(dataset=dict(
    type='orsa.RAFDB', data_root='{folder}', split='test',
    pipeline=[dict(type='LoadImageFromFile'),
              dict(type='orsa.OccludeFace', kinds='square', severity=5),
              {','.join(last)}]))
""")
        rows = browse(
            load_config(str(config)),
            str(tmp_path / 'samples.png'),
            count=7,
            size=96)
        return [
            np.argwhere((drawn == ORANGE).all(2)) for drawn, in rows.values()
        ]

    expected = outlines()
    found = outlines("dict(type='Resize', scale=(40, 40), backend='pillow')",
                     "dict(type='PackInputs')")
    assert len(found) == 7
    for one, other in zip(found, expected):
        assert len(other) > 100  # the square's edge, in pixels of 96
        for end in (np.min, np.max):
            assert np.abs(end(one, axis=0) - end(other, axis=0)).max() <= 3
    # where it went is not known any more, and not drawn
    assert not sum(map(len, outlines("dict(type='RandomCrop', crop_size=24)")))


def test_browse_shows_every_step(folder, tmp_path, monkeypatch):
    captions = {}
    draw = browsing.draw_step_grid
    monkeypatch.setattr(
        browsing, 'draw_step_grid',
        lambda rows, given, *args: captions.update(given) or draw(
            rows, given, *args))
    config = tmp_path / 'steps.py'
    config.write_text(f"""
_base_ = '{folder}/tiny.py'
train_dataloader = dict(dataset=dict(
    type='RepeatDataset', times=2,
    dataset=dict(
        type='orsa.RAFDB', data_root='{folder}', split='test',
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='RandomFlip', prob=1., direction='horizontal'),
                  dict(type='mmcv.RandomFlip', prob=1., direction='vertical'),
                  dict(type='Resize', scale=(48, 32)),
                  dict(type='PackInputs')])))
""")
    cfg, out = load_config(str(config)), str(tmp_path / 'steps.png')
    rows = browse(cfg, out, 7, plain=True, size=64, mode='pipeline')
    assert [len(steps) for steps in rows.values()] == [4] * 7
    for name, (loaded, flipped, turned, small) in rows.items():
        label, _, index = name.split()
        assert captions[name] == [
            'original\n64 x 64', 'RandomFlip\n64 x 64', 'RandomFlip\n64 x 64',
            'Resize\n48 x 32'
        ]
        photo = cv2.imread(
            str(folder / f'basic/Image/aligned/test_{index:0>4}_aligned.jpg'))
        assert np.array_equal(loaded, photo)
        assert np.array_equal(flipped, photo[:, ::-1])
        assert np.array_equal(turned, photo[::-1, ::-1])
        assert small.shape == (43, 64, 3)
    # in the file two samples in a row, each below its title
    sheet = cv2.imread(out)
    assert np.array_equal(sheet[72:136, 88:152], next(iter(rows.values()))[1])
    width = 4 * 76 + 24
    assert np.array_equal(sheet[72:136, width + 12:width + 76],
                          list(rows.values())[1][0])

    both = browse(cfg, out, 7, plain=True, size=64, mode='concat')
    assert list(both) == list(rows)
    for name, (loaded, small) in both.items():
        assert np.array_equal(loaded, rows[name][0])
        assert np.array_equal(small, rows[name][3])
        assert captions[name][1] == 'transformed\n48 x 32'


def test_metrics_of_another_metric(call, folder, tmp_path, capsys):
    """What mmpretrain's Accuracy leaves can be drawn and compared."""
    config = tmp_path / 'accuracy.py'
    config.write_text(f"""
_base_ = '{folder}/tiny.py'
test_evaluator = dict(_delete_=True, type='Accuracy', topk=(1, 3))
""")
    for name in ('a', 'b'):
        assert cli.main([
            'test', str(config), str(folder / 'tiny.pth'), '--work-dir',
            str(tmp_path / name), '--out',
            str(tmp_path / name / 'predictions.json')
        ]) == cli.OK  # yapf: disable
    report = json.loads((tmp_path / 'a/metrics.json').read_text())
    assert report['classes'][0] == 'surprise'
    out = tmp_path / 'matrix.png'
    matrix = draw_confusion(str(tmp_path / 'a/metrics.json'), str(out))
    assert matrix.sum() == NUM
    for key in ('accuracy', 'accuracy/top1'):  # ours, and its own
        assert 100 * matrix.trace() / NUM == pytest.approx(
            report[key], abs=1e-3)
    capsys.readouterr()
    said = call('compare_results.py', tmp_path / 'a/metrics.json',
                tmp_path / 'b/metrics.json', '--names', 'a', 'b')
    assert '+0.0 (+0.0, +0.0)' in said
    said = call('plot_results.py', config, tmp_path / 'a', '--faces', 7)
    assert 'confusion_matrix.png' in said and 'test_faces.png' in said


def test_browse_wants_the_split(folder):
    cfg = load_config(str(folder / 'tiny.py'))
    with pytest.raises(ValueError, match='train_dataloader'):
        browse(cfg, 'none.png')


def test_words_of_mmpretrain(call, folder, tmp_path, capsys):
    """Its orders and spellings give what ours give."""
    config, weights = folder / 'tiny.py', folder / 'tiny.pth'
    face = next((folder / 'basic' / 'Image' / 'aligned').glob('*.jpg'))
    ours, theirs = tmp_path / 'ours.png', tmp_path / 'theirs.png'
    call('vis_cam.py', config, weights, '--images', face, '--layer',
         'backbone', '--class', 'disgust', '--out', ours)
    call('vis_cam.py', face, config, weights, '--target-layers', 'backbone',
         '--target-category', '2', '--method', 'GradCAM', '--save-path',
         theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    sheets = set()
    for method in ('GradCAM++', 'GradCAMPlusPlus', 'XGradCAM', 'LayerCAM'):
        call('vis_cam.py', face, config, weights, '--target-layers',
             'backbone', '--method', method, '--save-path', theirs)
        sheets.add(theirs.read_bytes())
    assert len(sheets) == 3 and ours.read_bytes() not in sheets
    with pytest.raises(SystemExit, match='2'):
        call('vis_cam.py', face, config, weights, '--method', 'EigenCAM')
    assert capsys.readouterr().err.splitlines()[-1].endswith(
        "invalid choice: 'eigencam' (choose from 'gradcam', 'gradcam++', "
        "'xgradcam', 'layercam')")
    assert 'backbone' in call('vis_cam.py', config, weights, '--preview-model')
    call('browse_dataset.py', config, '--split', 'test', '-n', '7', '--out',
         ours)
    call('browse_dataset.py', config, '-p', 'test', '--show-number', '7', '-o',
         tmp_path, '--not-show')
    assert (tmp_path / 'samples.png').read_bytes() == ours.read_bytes()
    # before the resizing to 32 pixels more of a face is seen
    rows = {
        mode:
        browse(load_config(str(config)), str(theirs), 1, 'test', mode=mode)
        for mode in ('original', 'transformed')
    }
    shapes = {k: next(iter(v.values()))[0] for k, v in rows.items()}
    assert cv2.Laplacian(shapes['original'], cv2.CV_64F).var() > cv2.Laplacian(
        shapes['transformed'], cv2.CV_64F).var()
    printed = call('get_flops.py', config, '--shape', '32')
    assert printed == call('get_flops.py', config, '--shape', '32', '32')


def test_confusion_matrix_of_a_checkpoint(call, folder, tmp_path):
    matrix, picture = tmp_path / 'matrix.json', tmp_path / 'matrix.png'
    call('confusion_matrix.py', folder / 'tiny.py', folder / 'tiny.pth',
         '--out', matrix, '--show-path', picture, '--include-values',
         '--cfg-options', 'test_dataloader.dataset.indices=14')
    counts = np.array(json.loads(matrix.read_text()))
    assert counts.shape == (7, 7) and counts.sum() == 14
    assert cv2.imread(str(picture)) is not None
    # two faces of each class, and as the model predicts them
    assert counts.sum(1).tolist() == [2] * 7
