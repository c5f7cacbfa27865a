# Copyright (c) orsa contributors. All rights reserved.
"""A valid tree for each kind of list that a dataset reads."""
import gzip
import hashlib
import json
import zlib
from collections import namedtuple

import cv2
import numpy as np
from damaged_files import mutate, mutate_json, mutate_text, smooth_image

from orsa.datasets import (RAFDB, AffectNet, Face300WDataset, FERDataset,
                           FERPlus)
from orsa.datasets.ferplus import VOTES
from orsa.datasets.press_faces import load_annotations
from orsa.datasets.transforms import LoadCachedPriors
from orsa.evaluation.calibration import read_calibration
from orsa.prepare.pack import pack_files
from orsa.utils.classes import RAFDB_CLASSES

# file: what is damaged, below the root. read: of the root, gives records or
# None. damage: of bytes and a generator, gives bytes.
ListKind = namedtuple('ListKind', 'file read damage')
NAMES = [f'train_{i:05d}' for i in range(1, 13)]


def records(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def write(root, name, data):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def images(root, names):
    data = cv2.imencode('.png', smooth_image(np.random.default_rng(0), 16))[1]
    for name in names:
        write(root, name, data.tobytes())


def points():
    return np.random.default_rng(0).uniform(0, 99, (68, 2)).round(2).tolist()


def plain(root):
    names = ['a.png', 'b/c.png', 'd.png', 'e.png']
    images(root, names)
    write(root, 'list.txt', ''.join(
        f'{n} {c}\n' for n, c in zip(names, RAFDB_CLASSES)))  # yapf: disable
    write(root, 'subset.txt', '# chosen\na 1\nb/c.png 2 3\nd\n')
    write(root, 'classes.txt', '\n'.join(RAFDB_CLASSES))


def read_plain(root, **kwargs):
    return records(
        FERDataset(
            'list.txt',
            data_root=str(root),
            pipeline=[],
            serialize_data=False,
            **kwargs))


def rafdb(root):
    names = [f'basic/Image/aligned/{n}_aligned.jpg' for n in NAMES]
    images(root, names)
    write(root, 'basic/EmoLabel/list_patition_label.txt',
          ''.join(f'{n}.jpg {i % 7 + 1}\n' for i, n in enumerate(NAMES)))
    write(
        root, 'sources.csv', 'name,source_image,identity,expression\n' +
        ''.join(f'{n},x.jpg,person {i // 2},fear\n'
                for i, n in enumerate(NAMES)))
    write(root, 'landmarks68.json', json.dumps({n: points() for n in NAMES}))


def read_rafdb(root, **kwargs):
    return records(
        RAFDB(str(root), pipeline=[], serialize_data=False, **kwargs))


def read_landmarks(root):
    found = read_rafdb(root, with_annotations=True)
    for r in found:
        assert r['gt_keypoints'].shape == (1, 68, 2)
        assert np.isfinite(r['gt_keypoints']).all()
    return found


def affectnet(root):
    names = [f'{i % 3}/{i:08x}.jpg' for i in range(12)]
    images(root, [f'Manually_Annotated_Images/{n}' for n in names])
    write(
        root, 'training.csv', 'subDirectory_filePath,face_x,expression\n' +
        ''.join(f'{n},1,{i % 11}\n' for i, n in enumerate(names)))


def affectnet_npy(root):
    images(root, [f'train_set/images/{i}.jpg' for i in range(4)])
    for i in range(4):
        write(root, f'train_set/annotations/{i}_exp.npy', b'')
        np.save(root / f'train_set/annotations/{i}_exp.npy',
                np.array(str(i + 1)))


def ferplus(root, folders):
    rows = [f'fer{i:07d}.png' for i in range(8)]
    votes = ['Usage,Image name,' + ','.join(VOTES)]
    for i, name in enumerate(rows):
        counts = np.eye(10, dtype=int)[i] * 9 + 1
        votes.append(f"Training,{name},{','.join(map(str, counts))}")
    write(root, 'fer2013new.csv', '\n'.join(votes))
    if folders:
        images(root, [f'FER2013Train/{n}' for n in rows])
        return
    pixels = ' '.join(['7'] * 48 * 48)
    write(root, 'fer2013.csv',
          'emotion,pixels,Usage\n' + f'0,{pixels},Training\n' * 8)


def read_ferplus(root):
    return records(FERPlus(str(root), pipeline=[], serialize_data=False))


def points_300w(root):
    images(root, ['afw/a.png'])
    write(
        root, 'afw/a.pts', 'version: 1\nn_points: 68\n{\n' +
        '\n'.join(f'{x} {y}' for x, y in points()) + '\n}\n')


def read_300w(root):
    return records(
        Face300WDataset(
            str(root), folders=['afw'], pipeline=[], serialize_data=False))


def annotations(root):
    face = load_annotations()[0]
    face = dict(face, parsing_rle=[[1, 128 * 128]])
    data = json.dumps([face, dict(face, name='train_00002')])
    write(root, 'annotations.json.gz', gzip.compress(data.encode()))


def damage_annotations(data, rng):
    if rng.integers(3) == 0:
        return mutate(data, rng)
    return gzip.compress(mutate_json(gzip.decompress(data), rng))


def read_annotations(root):
    load_annotations(str(root / 'annotations.json.gz'))


def pack(root):
    plain(root)
    names = ['a.png', 'b/c.png', 'd.png', 'e.png']
    pack_files({n: str(root / n) for n in names}, str(root / 'pack.lmdb'))


def cut(data, rng):
    return data[:rng.integers(1, len(data))]


def read_pack(root):
    # a name of its own: a process opens an LMDB once
    fresh = root / f'pack_{zlib.crc32((root / "pack.lmdb").read_bytes())}.lmdb'
    fresh.write_bytes((root / 'pack.lmdb').read_bytes())
    try:
        dataset = FERDataset(
            'list.txt',
            data_root=str(root),
            pipeline=[dict(type='LoadImageFromFile')],
            pack=str(fresh))
        for i in range(len(dataset)):
            dataset[i]
    finally:
        fresh.unlink()


def cache(root):
    rows = np.zeros((3, 2, 4, 5), np.float16)
    sums = np.full((3, 2), zlib.crc32(rows[0, 0].tobytes()), np.int64)
    write(root, 'parsing.npy', b'')
    np.save(root / 'parsing.npy', rows)
    np.save(root / 'parsing.crc.npy', sums)
    write(
        root, 'samples.json',
        json.dumps(dict(names=['a', 'b', 'c'], sizes=[1] * 3, folds=[-1] * 3)))
    write(
        root, 'manifest.json',
        json.dumps(
            dict(
                format=1,
                complete=True,
                samples_sha256=sha(root / 'samples.json'),
                priors=dict(
                    parsing=dict(
                        shape=list(rows.shape),
                        dtype='float16',
                        crc_sha256=sha(root / 'parsing.crc.npy'))))))


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_cache(root, sign=True):
    """Read every row; a manifest that names the damaged files is the worst
    case."""
    if sign:
        manifest = json.loads((root / 'manifest.json').read_text())
        manifest['samples_sha256'] = sha(root / 'samples.json')
        manifest['priors']['parsing']['crc_sha256'] = sha(root /
                                                          'parsing.crc.npy')
        (root / 'manifest.json').write_text(json.dumps(manifest))
    load = LoadCachedPriors(str(root), ['parsing'])
    for name in 'abc':
        assert load(dict(name=name))['prior_parsing'].shape == (4, 5)


def calibration(root):
    write(root, 'weights.json',
          json.dumps(dict(weights_sha256='0', calibration=dict())))


def read_weights(root):
    read_calibration(str(root / 'weights.json'))


def read_subset(root):
    return read_plain(root, subset_file='subset.txt')


def read_classes(root):
    return read_plain(root, classes=str(root / 'classes.txt'))


def read_subjects(root):
    return read_rafdb(root, val_split=.3)


def read_affectnet(root):
    return records(AffectNet(str(root), pipeline=[], serialize_data=False))


def ferplus_folders(root):
    ferplus(root, True)


def ferplus_pixels(root):
    ferplus(root, False)


def read_manifest(root):
    read_cache(root, sign=False)


LABELS = 'basic/EmoLabel/list_patition_label.txt'
NPY = 'train_set/annotations/2_exp.npy'


def kinds():
    """By name: what writes a good tree, and the kind of list in it."""
    table = [
        ('lists of images', plain, 'list.txt', read_plain, mutate_text),
        ('lists of protocols', plain, 'subset.txt', read_subset, mutate_text),
        ('lists of classes', plain, 'classes.txt', read_classes, mutate_text),
        ('RAF-DB, labels', rafdb, LABELS, read_rafdb, mutate_text),
        ('RAF-DB, persons', rafdb, 'sources.csv', read_subjects, mutate_text),
        ('RAF-DB, landmarks', rafdb, 'landmarks68.json', read_landmarks,
         mutate_json),
        ('AffectNet, csv', affectnet, 'training.csv', read_affectnet,
         mutate_text),
        ('AffectNet, npy', affectnet_npy, NPY, read_affectnet, mutate),
        ('FER+, votes', ferplus_folders, 'fer2013new.csv', read_ferplus,
         mutate_text),
        ('FER+, pixels', ferplus_pixels, 'fer2013.csv', read_ferplus,
         mutate_text),
        ('300-W, points', points_300w, 'afw/a.pts', read_300w, mutate_text),
        ('press_faces, annotations', annotations, 'annotations.json.gz',
         read_annotations, damage_annotations),
        ('packs of images, cut off', pack, 'pack.lmdb', read_pack, cut),
        ('caches of priors, manifest', cache, 'manifest.json', read_manifest,
         mutate_json),
        ('caches of priors, samples', cache, 'samples.json', read_cache,
         mutate_json),
        ('caches of priors, sums', cache, 'parsing.crc.npy', read_cache,
         mutate),
        ('caches of priors, rows', cache, 'parsing.npy', read_cache, mutate),
        ('calibrations', calibration, 'weights.json', read_weights,
         mutate_json),
    ]
    return {name: (make, ListKind(*kind)) for name, make, *kind in table}
