# Copyright (c) orsa contributors. All rights reserved.
"""The errors that docs/troubleshooting.md quotes are those that are raised."""
import re
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'troubleshooting.md'


def no_data():
    from orsa.datasets import RAFDB
    RAFDB(data_root='data/raf-db', split='test')


def no_pretrained_file():
    from orsa.apis import build_model, load_config
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.model.backbone.parsing_prior.checkpoint = 'checkpoints/parser.pth'
    build_model(cfg).init_weights()


def another_networks_file():
    from orsa.apis import build_model, load_config
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.model.backbone.parsing_prior.checkpoint = 'orsa://lite_landmark.pth'
    build_model(cfg).init_weights()


def no_checkpoint():
    from orsa.apis import init_model
    init_model('orsa::orsanet_lite_rafdb.py', 'work_dirs/mine/epoch_20.pth')


def another_order_of_classes():
    from orsa.utils.classes import RAFDB_CLASSES, check_classes
    check_classes(RAFDB_CLASSES, sorted(RAFDB_CLASSES))


def no_class_names():
    from orsa.utils.classes import class_names
    class_names({}, None, 'model.pth')


class _Code:

    def __reduce__(self):
        return Path.cwd, ()


def pickle_with_code():
    from orsa.utils.checkpoint import load_checkpoint
    torch.save({'state_dict': _Code()}, 'model.pth')
    load_checkpoint('model.pth')


def half_a_checkpoint():
    from orsa.utils.checkpoint import load_checkpoint
    whole = (ROOT / 'orsa/zoo/lite_parsing.pth').read_bytes()
    Path('epoch_20.pth').write_bytes(whole[:len(whole) // 2])
    load_checkpoint('epoch_20.pth')


def diverged_checkpoint():
    from orsa.utils.checkpoint import load_checkpoint
    torch.save({'state_dict': {
        'head.fc.weight': torch.tensor([np.nan])
    }}, 'epoch_20.pth')
    load_checkpoint('epoch_20.pth')


def sam_without_its_loop():
    from orsa.engine.optimizers import SAMOptimWrapper
    weight = torch.nn.Parameter(torch.ones(1))
    wrapper = SAMOptimWrapper(torch.optim.SGD([weight], lr=1.))
    wrapper.update_params(weight.sum())


def soft_labels():
    from orsa.models.losses import DARELoss
    DARELoss()(torch.zeros(2, 7), torch.full((2, 7), 1 / 7))


def folders_by_number():
    from orsa.datasets import ImageFolder
    Path('mine/0').mkdir(parents=True)
    ImageFolder(data_root='mine')


def class_of_no_name():
    from orsa.datasets import ImageFolder
    Path('mine/smug').mkdir(parents=True)
    ImageFolder(data_root='mine')


def figures_without_faces():
    from orsa.evaluation.predictions import read_predictions
    Path('work_dirs/a').mkdir(parents=True)
    Path('work_dirs/a/metrics.json').write_text('{"accuracy": 69.2}')
    read_predictions('work_dirs/a/metrics.json')


def unknown_model():
    from orsa.apis import FERInferencer
    FERInferencer('orsanet_large')


def config_without_weights():
    from orsa.apis import FERInferencer
    FERInferencer('configs/orsanet_lite_rafdb.py')


def _read(content: bytes):
    from orsa.faces.images import read_image
    Path('photo.jpg').write_bytes(content)
    read_image('photo.jpg')


def truncated_image():
    _read((ROOT / 'docs/images/inference.jpg').read_bytes()[:9000])


def empty_image():
    _read(b'')


def compiled_operator():
    import mmcv.ops

    from orsa.utils.compat import provide_mmcv_ops
    if provide_mmcv_ops():
        pytest.skip('the compiled mmcv is here')
    mmcv.ops.nms(torch.zeros(1, 4), torch.zeros(1), iou_threshold=.5)


def no_cache():
    from orsa.apis import load_config
    from orsa.engine.prior_cache.serving import use_prior_cache
    cfg = load_config('orsa::orsanet_lite_rafdb.py')
    cfg.prior_cache = 'cache'
    use_prior_cache(cfg, ('train', ))


CAUSES = [
    no_data, no_pretrained_file, another_networks_file, no_checkpoint,
    another_order_of_classes, no_class_names, pickle_with_code,
    half_a_checkpoint, diverged_checkpoint, sam_without_its_loop, soft_labels,
    folders_by_number, class_of_no_name, figures_without_faces, unknown_model,
    config_without_weights, truncated_image, empty_image, compiled_operator,
    no_cache
]


def _one_line(text: str) -> str:
    return ' '.join(text.split())


def _quotes() -> list:
    """The blocks of the page, '...' standing for anything."""
    blocks = re.findall(r'^```text\n(.*?)^```', PAGE.read_text(), re.M | re.S)
    return [
        '.+'.join(re.escape(part) for part in _one_line(block).split('...'))
        for block in blocks
    ]


@pytest.mark.parametrize('cause', CAUSES, ids=lambda c: c.__name__)
def test_the_message_is_quoted(cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as raised:
        cause()
    said = _one_line(f'{raised.type.__name__}: {raised.value}')
    assert any(re.fullmatch(quote, said) for quote in _quotes()), said


def test_every_quote_is_checked():
    assert len(_quotes()) == len(CAUSES) >= 10
