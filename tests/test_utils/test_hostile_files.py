# Copyright (c) orsa contributors. All rights reserved.
"""Every reader of checkpoints refuses files that are none."""
import os
import resource
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from hostile_files import (Call, dumps, write_all, write_poison,
                           write_two_readings, write_zip)
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint

from orsa.apis import init_model
from orsa.models.utils.pretrained import load_pretrained
from orsa.prepare.cache_priors import build_priors
from orsa.prepare.convert import convert_ir50, convert_official
from orsa.prepare.weights import publish
from orsa.utils.checkpoint import cached_path, load_checkpoint_file
from orsa.utils.checkpoint_records import CheckpointError

MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='orsa.IRNet', arch=dict(depths=(1, ), channels=(8, ))),
    head=dict(type='LinearClsHead', num_classes=7, in_channels=8))


def _init_model(path):
    init_model(Config(dict(model=MODEL)), path)


def _by_name(path):
    init_model('orsanet_lite', path)


def _mmengine(path):
    """What Runner.load_checkpoint, resume and init_cfg call."""
    load_checkpoint(nn.Linear(3, 3), path)


def _pretrained(path):
    load_pretrained(nn.Linear(3, 3), path, 'part')


def _address(path):
    """What hub has downloaded before."""
    address = f'https://example.invalid/{Path(path).name}'
    kept = Path(cached_path(address))
    kept.parent.mkdir(exist_ok=True)
    kept.symlink_to(path)
    CheckpointLoader.load_checkpoint(address)


def _convert(path):
    convert_ir50(path, path + '.out')


def _official(path):
    convert_official(path, path + '.out')


def _publish(path):
    publish(path, path + '.out')


def _priors(path):
    build_priors(Config.fromfile('configs/orsanet_lite_rafdb.py'), path)


READERS = [
    load_checkpoint_file, _init_model, _by_name, _mmengine, _pretrained,
    _address, _convert, _official, _publish, _priors
]

# build a model each time, and are given a few of the files
BUILDERS = [_init_model, _by_name, _priors]
FEW = ('shell', 'bytearray', 'zip bomb', 'a list', 'nan', 'cut at 0.5')


@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp('hostile')
    return root / 'trace', write_all(root / 'files', root / 'trace')


@pytest.fixture(autouse=True)
def _at_the_root(repo_root, monkeypatch):
    monkeypatch.chdir(repo_root)


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@pytest.mark.parametrize('read', READERS)
def test_refused_without_running_anything(hostile, read, monkeypatch, tried):
    trace, files = hostile
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(trace.parent))
    before = 0
    if read in BUILDERS and 'ORSA_STRESS' not in os.environ:
        files = {name: files[name] for name in FEW}
    for name, path in files.items():
        with pytest.raises(CheckpointError) as raised:
            read(str(path))
        # the message is ours: it names the file and says what is wrong
        assert f'/{path.stem}.' in str(raised.value), name
        assert len(str(raised.value)) > len(str(path)) + 30, name
        assert not trace.exists(), name
        assert not os.path.exists(str(path) + '.out'), name
        before = before or memory()  # with what the first one imported
    assert memory() - before < 150, 'megabytes'
    tried['hostile checkpoints, each by every reader'] += len(files)


def test_they_would_work_elsewhere(hostile, tmp_path):
    """The files are what they are said to be: the test can fail."""
    trace, files = hostile
    with pytest.raises(Exception):
        torch.load(files['shell'], weights_only=False)['no']
    assert trace.is_dir()
    trace.rmdir()
    assert files['zip bomb'].stat().st_size < 2**21
    wide = torch.load(files['repeated elements'], weights_only=True)
    assert wide['state_dict']['w'].numel() == 1 << 40


def test_torch_and_python_read_zips_differently(tmp_path):
    """What is looked at must be what torch reads."""
    path = tmp_path / 'x.pth'
    found = []
    for order in (1, -1):
        write_two_readings(path, order)
        with zipfile.ZipFile(path) as archive:
            assert len(archive.read('archive/data.pkl')) < 1000
        content = torch.load(path, weights_only=True)
        found.append(content['state_dict']['w'].numel())
        with pytest.raises(CheckpointError, match='x.pth.*entries'):
            load_checkpoint_file(path)
    assert max(found) == 1 << 27  # torch took the other one


def _good_zip(path):
    torch.save(dict(state_dict=dict(w=torch.ones(3))), path)
    return path.read_bytes()


def test_zips_of_other_shapes(tmp_path):
    """Are refused, or hold what was written."""
    path = tmp_path / 'x.pth'
    data = _good_zip(path)
    end = len(data) - 22
    first = data.index(b'PK\1\2')  # the first entry of the list
    head, tail = data[:end - 76], data[end - 76:]

    def changed(at, new):
        return data[:at] + new + data[at + len(new):]

    shapes = dict(
        comment=data[:-2] + b'\4\0PKPK',
        prefix=data[:4] + data,
        between=head + b'xxxx' + tail,
        count=changed(end - 76 + 24, struct.pack('<QQ', 3, 3)),
        elsewhere=changed(end - 20 + 8, struct.pack('<Q', 100)),
        folder=changed(first + 38, struct.pack('<L', 0x10)),
        sizes=changed(first + 20, struct.pack('<L', 1)),
        backslash=data.replace(b'/version', b'\\version'),
        other=data.replace(b'x/version', b'y/version'))
    for name, made in shapes.items():
        assert made != data, name
        path.write_bytes(made)
        try:
            read = load_checkpoint_file(path)['state_dict']['w']
        except CheckpointError as error:
            assert 'x.pth' in str(error)
        else:
            assert torch.equal(read, torch.ones(3)), name


def test_a_tar_is_refused(tmp_path):
    """torch tries a file as a tar before it reads it as a pickle."""
    path = tmp_path / 'x.pth'
    with tarfile.open(
            path, 'w', format=tarfile.GNU_FORMAT,
            encoding='latin1') as archive:
        archive.addfile(tarfile.TarInfo('\x80\2K\1.'))
    assert path.read_bytes()[:1] == b'\x80'
    with pytest.raises(CheckpointError, match='x.pth.*tar'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('name, noun', [
    ('shell', 'GLOBAL posix.system'),
    ('bytearray', 'bytearray'),
    ('zip bomb', 'bytes'),
    ('repeated elements', 'shape'),
    ('a flipped bit', 'damaged in .*data/0'),
    ('program', 'TorchScript'),
    ('cut at 0.5', 'truncated'),
])
def test_the_reason_is_in_the_message(hostile, name, noun):
    with pytest.raises(CheckpointError, match=noun):
        load_checkpoint_file(hostile[1][name])


def test_numpy_follows_no_pointers_of_the_file(tmp_path):
    """Its classes can be told that bytes are objects, which ends the
    process, or worse: what a pickle may call are stand-ins."""
    path = tmp_path / 'x.pth'
    number = dumps(dict(state_dict={}, n=np.array([1.])))
    state = b'J\xff\xff\xff\xff' * 2 + b'K'
    assert number.count(state + b'\0') == 1
    write_zip(path, number.replace(state + b'\0', state + b'\x3f'))
    assert load_checkpoint_file(path)['n'].tolist() == [1.]
    assert np.dtype('f8').flags == 0
    call = Call(np.ndarray, (1, ), 'O', bytes(8))
    write_zip(path, dumps(dict(state_dict={}, n=call)))
    assert load_checkpoint_file(path)['n'].size == 0
    write_zip(path, dumps(dict(state_dict={}, n=np.array([None]))))
    with pytest.raises(CheckpointError, match='x.pth.*array'):
        load_checkpoint_file(path)


def test_old_format(tmp_path):
    """torch's before 1.6, whole and cut off at any place."""
    path = tmp_path / 'x.pth'
    torch.save(
        dict(w=torch.arange(99.)), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert load_checkpoint_file(path)['w'].tolist() == list(range(99))
    for size in range(1, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match='x.pth'):
            load_checkpoint_file(path)


def test_a_refused_file_changes_nothing(tmp_path):
    good = tmp_path / 'good.pth'
    content = dict(
        state_dict=nn.Linear(2, 2).state_dict(),
        message_hub=dict(loss=HistoryBuffer([1.], [1]), n=np.arange(3)))
    torch.save(content, good)
    for path in write_poison(tmp_path):
        with pytest.raises(CheckpointError, match='Can only build'):
            load_checkpoint_file(path)
        assert load_checkpoint_file(good)['message_hub']['loss'].mean() == 1.


def test_a_config_in_a_checkpoint_is_not_run(tmp_path):
    """MMEngine's Runner runs meta['config'] when it resumes."""
    path = tmp_path / 'x.pth'
    trace = tmp_path / 'trace'
    code = f'import os\nos.mkdir("{trace}")\n'
    torch.save(dict(meta=dict(config=code, epoch=1), state_dict={}), path)
    content = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert content['meta'] == dict(epoch=1)
    exec(code)  # what MMEngine would do
    assert trace.exists()


def test_object_stores_and_tables():
    for name in ('s3://a/b.pth', 'pavi://x', 'petrel://x'):
        with pytest.raises(ValueError, match='copy .* to a disk'):
            CheckpointLoader.load_checkpoint(name)
    with pytest.raises(FileNotFoundError, match='tables have no'):
        CheckpointLoader.load_checkpoint('torchvision://nothing')


def test_names_of_tables_go_the_safe_way(hostile, monkeypatch):
    trace, files = hostile
    for scheme, table in (('open-mmlab', 'get_external_models'),
                          ('torchvision', 'get_torchvision_models'),
                          ('mmcls', 'get_mmcls_models')):
        monkeypatch.setattr(f'mmengine.runner.checkpoint.{table}',
                            lambda: dict(net=str(files['shell'])))
        with pytest.raises(CheckpointError, match='refused'):
            CheckpointLoader.load_checkpoint(f'{scheme}://net')
    assert not trace.exists()


def test_an_honest_file_passes(tmp_path):
    """Tied weights, views, odd types and empty tensors are no attack."""
    base = torch.randn(64, 64)
    state = dict(
        base=base,
        tied=base,
        view=base[3:5],
        transposed=base.t(),
        scalar=torch.tensor(3.),
        empty=torch.zeros(0, 5),
        flags=torch.tensor([True, False]),
        half=base.half(),
        brain=base.bfloat16(),
        counts=torch.arange(5, dtype=torch.int32),
        parameter=nn.Parameter(base.clone(), requires_grad=False))
    meta = dict(
        milestones=Counter([5, 5, 8]),
        keys={
            0: 'a',
            -1: 'b',
            (1, 'c'): 'd',
            2.5: 'e',
            None: 'f'
        },
        ordered=OrderedDict(a=torch.Size([2, 3])),
        nested=[[[('x', )] * 9] * 9] * 9)
    for new in (True, False):
        torch.save(
            dict(state_dict=state, meta=meta),
            tmp_path / 'x.pth',
            _use_new_zipfile_serialization=new)
        loaded = load_checkpoint_file(tmp_path / 'x.pth')
        assert loaded['meta'] == meta
        loaded = loaded['state_dict']
        assert loaded.keys() == state.keys()
        for key in state:
            assert torch.equal(loaded[key], state[key]), key


def test_not_finite_weights_are_named(tmp_path):
    path = tmp_path / 'x.pth'
    bad = torch.ones(5)
    bad[3] = float('inf')
    torch.save(dict(state_dict={'a.b': torch.ones(2), 'c.d': bad}), path)
    with pytest.raises(ValueError, match=r'NaN or Inf in 1 of 2.*c\.d'):
        load_checkpoint_file(path)
    assert load_checkpoint_file(path, finite=False)['state_dict']['c.d'][3] > 9
    # large weights, whose sum is beyond float32, are fine
    torch.save(dict(w=torch.full((100, ), 3e38)), path)
    assert load_checkpoint_file(path)['w'][0] > 1e38


def test_mutants(tmp_path, tried):
    """Bytes of a good file changed at random: read, or refused clearly."""
    rng = np.random.default_rng(0)
    number = 4000 if 'ORSA_STRESS' in os.environ else 200
    good = tmp_path / 'good.pth'
    torch.save(
        dict(
            state_dict=dict(w=torch.ones(40, 3), b=torch.zeros(3)),
            meta=dict(epoch=1, dataset_meta=dict(classes=('a', 'b')))), good)
    data = good.read_bytes()
    path, refused = tmp_path / 'mutant.pth', 0
    for _ in range(number):
        mutant = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            mutant[rng.integers(len(mutant))] = rng.integers(256)
        path.write_bytes(mutant)
        try:
            content = load_checkpoint_file(path)
            assert isinstance(content, dict)
        except CheckpointError as error:
            refused += 1
            assert 'mutant.pth' in str(error)
    assert refused > number // 3
    # pickles themselves, in an archive whose sums are right
    with zipfile.ZipFile(good) as archive:
        name = archive.namelist()[0].split('/')[0]
        pickled = archive.read(f'{name}/data.pkl')
    for _ in range(number):
        mutant = bytearray(pickled)
        for _ in range(rng.integers(1, 4)):
            mutant[rng.integers(len(mutant))] = rng.integers(256)
        write_zip(path, bytes(mutant), bytes(480))
        try:
            load_checkpoint_file(path)
        except CheckpointError as error:
            assert 'mutant.pth' in str(error)
    tried['mutants of a checkpoint'] += 2 * number
