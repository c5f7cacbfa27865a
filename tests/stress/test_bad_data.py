# Copyright (c) orsa contributors. All rights reserved.
"""Damaged pictures and lists: a result, or an error that says which."""
import resource
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from orsa.datasets import FERDataset
from orsa.datasets.fer_dataset import read_image

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='orsa.RandomFaceAffine', size=32),
    dict(type='PackInputs')
]
FORMATS = ('.jpg', '.png', '.webp', '.bmp', '.tiff')


def memory():
    """MiB that this process holds now."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def pictures(rng):
    """Encoded pictures of every format, smooth ones as faces are."""
    noise = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = cv2.resize(noise, (48, 48), interpolation=cv2.INTER_CUBIC)
    return [cv2.imencode(suffix, image)[1].tobytes() for suffix in FORMATS]


def png(width, height, data=b'\0' * 64, depth=8, colour=2):
    """A PNG that claims a size."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack('>I', len(content)) + body + struct.pack(
            '>I', zlib.crc32(body))

    head = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(
        b'IDAT', zlib.compress(data)) + chunk(b'IEND', b'')


def mutate(data, rng):
    """Change, cut, repeat or join bytes."""
    data = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:
        for _ in range(rng.integers(1, 9)):
            data[rng.integers(len(data))] = rng.integers(256)
    elif kind == 1:
        data = data[:rng.integers(len(data))]
    elif kind == 2:
        at = rng.integers(len(data))
        data[at:at] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 3:
        a, b = sorted(rng.integers(len(data), size=2))
        del data[a:b]
    elif kind == 4:  # the header, where sizes are
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(min(len(data), 40))] = rng.integers(256)
    else:
        a, b = sorted(rng.integers(len(data), size=2))
        data += data[a:b]
    return bytes(data)


def test_pictures(tmp_path, amount, tried):
    rng = np.random.default_rng(0)
    (tmp_path / 'list.txt').write_text('face.jpg fear\n')
    path = tmp_path / 'face.jpg'
    path.write_bytes(pictures(rng)[0])
    dataset = FERDataset(
        data_root=str(tmp_path), ann_file='list.txt', pipeline=PIPELINE)
    assert dataset[0]['inputs'].shape == (3, 32, 32)
    read = failed = 0
    number, before, slowest = amount(300, 8000), None, 0.
    for i in range(number):
        originals = pictures(rng) if i % 50 == 0 else originals  # noqa: F821
        path.write_bytes(mutate(originals[i % len(originals)], rng))
        began = time.process_time()
        try:
            sample = dataset[0]
            assert sample['inputs'].shape == (3, 32, 32)
            read += 1
        except OSError as error:
            assert 'face.jpg' in str(error) and 'sample 0' in str(error)
            failed += 1
        slowest = max(slowest, time.process_time() - began)
        before = before or memory()
    assert read and failed
    # nothing grows; for a moment OpenCV takes what a damaged PNG says of the
    # length of a chunk, up to 4 GB
    assert slowest < 10 and memory() - before < 400
    tried['damaged pictures'] += number


def test_absurd_sizes(tmp_path, tried):
    before = memory()
    path = tmp_path / 'a.png'
    sizes = [(0, 0), (1, 0), (1, 1), (2**31 - 1, 2**31 - 1), (65535, 65535),
             (60000, 1), (1 << 20, 1 << 20), (20000, 20000)]
    for width, height in sizes:
        path.write_bytes(png(width, height))
        image, reason = read_image(str(path))
        assert (image is None) == bool(reason), (width, height)
        if image is not None:
            assert image.shape == (height, width, 3)
    assert memory() - before < 300
    tried['pictures of absurd sizes'] += len(sizes)


GOOD = ['a.png fear', 'b/c.png anger', 'd.png happiness']


def damaged_lists(rng):
    """Names of a damage and the bytes of the list."""
    text = '\n'.join(GOOD)
    yield 'bom', b'\xef\xbb\xbf' + text.encode()
    yield 'crlf', text.replace('\n', '\r\n').encode()
    yield 'cr', text.replace('\n', '\r').encode()
    yield 'utf-16', text.encode('utf-16')
    yield 'latin-1', (text + '\nn\xe9.png fear').encode('latin-1')
    yield 'nul', (text + '\n\0.png fear').encode()
    yield 'empty', b''
    yield 'blank', b'\n \n\t\n'
    yield 'one column', b'a.png\n'
    yield 'unknown', b'a.png joy\n'
    yield 'number', b'a.png 3\n'
    yield 'twice', ('\n'.join([GOOD[0], *GOOD])).encode()
    yield 'contradiction', (text + '\na.png anger').encode()
    yield 'climbs', b'../../outside.png fear\n'
    yield 'climbs inside', b'b/../../outside.png fear\n'
    yield 'absolute', b'/etc/hostname fear\n'
    yield 'long line', b'x' * 1000000 + b' fear\n'
    yield 'tabs', text.replace(' ', '\t').encode()
    yield 'picture', pictures(rng)[0]


READ = {'bom', 'crlf', 'cr'}


def test_lists_of_every_damage(tmp_path):
    path = tmp_path / 'list.txt'
    for name, data in damaged_lists(np.random.default_rng(0)):
        path.write_bytes(data)
        if name in READ:
            assert len(FERDataset(str(path), pipeline=[])) == 3, name
            continue
        with pytest.raises(ValueError) as raised:
            FERDataset('list.txt', data_root=str(tmp_path), pipeline=[])
        assert 'list.txt' in str(raised.value), name
        assert len(str(raised.value)) < 2000, name


def test_mutated_lists(tmp_path, amount, tried):
    rng = np.random.default_rng(1)
    path = tmp_path / 'list.txt'
    originals = [data for _, data in damaged_lists(rng)
                 if 0 < len(data) < 10000]  # yapf: disable
    number = amount(200, 2000)
    for i in range(number):
        path.write_bytes(mutate(originals[i % len(originals)], rng))
        try:
            assert len(
                FERDataset('list.txt', data_root=str(tmp_path), pipeline=[]))
        except ValueError as error:
            assert 'list.txt' in str(error)
    tried['damaged label files'] += number
