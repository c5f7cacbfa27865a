# Copyright (c) orsa contributors. All rights reserved.
"""Small folders of synthetic faces in the layouts of the pages."""
import csv
import json
from pathlib import Path
from typing import Iterator, NamedTuple

import cv2
import numpy as np

from orsa.datasets.drawing import draw_face
from orsa.datasets.press_faces import load_annotations
from orsa.utils.classes import AFFECTNET_CLASSES, RAFDB_CLASSES

# of each class; a fold of five has what tools/calibrate.py asks for
TRAIN, TEST = 18, 2
DRAWN = 3  # of each class, the others are these in another light


class Face(NamedTuple):
    """A drawn face, and its place in a dataset."""
    name: str
    label: int
    expression: str
    drawn: dict


def _faces(classes, size: int) -> Iterator[Face]:
    number, drawings = 0, {}
    for split, count in (('train', TRAIN), ('test', TEST)):
        for turn in range(count):
            for label, expression in enumerate(classes):
                number += 1
                # there is no drawing of contempt
                shown = dict(contempt='disgust').get(expression, expression)
                key = label, turn % DRAWN
                if key not in drawings:
                    rng = np.random.default_rng(number)
                    drawings[key] = draw_face(shown, rng, size)
                light = cv2.convertScaleAbs(
                    drawings[key]['img'], alpha=1 - .002 * number)
                drawn = dict(drawings[key], img=light)
                yield Face(f'{split}_{number:04d}', label, expression, drawn)


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_rafdb(root: Path, size: int = 96) -> None:
    """RAF-DB's tree, with landmarks, masks, persons and a list."""
    lines, points, persons, listed = [], {}, [], []
    for i, face in enumerate(_faces(RAFDB_CLASSES, size)):
        name = f'{face.name}_aligned.jpg'
        _write(root / 'basic/Image/aligned' / name, face.drawn['img'])
        _write(root / f'parsing/{face.name}.png', face.drawn['parsing'])
        lines.append(f'{face.name}.jpg {face.label + 1}\n')
        points[face.name] = face.drawn['landmarks'].tolist()
        # pairs of one person, within a split
        persons.append((face.name, f'{face.name[:5]}{i // 14}{face.label}'))
        if face.name.startswith('test') and len(listed) < 10:
            listed.append(
                f'{face.name}_aligned {face.label} {len(listed) % 5 + 1}\n')
    label_file = root / 'basic/EmoLabel/list_patition_label.txt'
    label_file.parent.mkdir()
    label_file.write_text(''.join(lines))
    (root / 'landmarks68.json').write_text(json.dumps(points))
    (root / 'occlusion_test.txt').write_text(''.join(listed))
    with open(root / 'sources.csv', 'w', newline='') as file:
        csv.writer(file).writerows([('name', 'identity'), *persons])


def write_affectnet(root: Path) -> None:
    """The csv release."""
    rows = dict(train=[], test=[])
    for face in _faces(AFFECTNET_CLASSES, 64):
        name = f'1/{face.name}.jpg'
        _write(root / 'Manually_Annotated_Images' / name, face.drawn['img'])
        rows[face.name.split('_')[0]].append((name, face.label))
    for split, file_name in (('train', 'training'), ('test', 'validation')):
        with open(root / f'{file_name}.csv', 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(('subDirectory_filePath', 'expression'))
            writer.writerows(rows[split])


def write_ferplus(root: Path) -> None:
    """The release by images."""
    columns = ('neutral', 'happiness', 'surprise', 'sadness', 'anger',
               'disgust', 'fear', 'contempt')
    usages = dict(
        Training='FER2013Train',
        PublicTest='FER2013Valid',
        PrivateTest='FER2013Test')
    lines = [','.join(('Usage', 'Image name', *columns, 'unknown', 'NF'))]
    for i, face in enumerate(_faces(columns, 48)):
        usage = list(usages)[(i // 8) % 3]
        name = f'fer{i:07d}.png'
        _write(root / usages[usage] / name,
               cv2.cvtColor(face.drawn['img'], cv2.COLOR_BGR2GRAY))
        votes = [10 * (k == face.label) for k in range(10)]
        lines.append(','.join(map(str, (usage, name, *votes))))
    (root / 'fer2013new.csv').write_text('\n'.join(lines))


def write_own(root: Path, classes) -> None:
    """``train`` and ``val`` with a folder for each class."""
    for face in _faces(classes, 64):
        split = 'train' if face.name.startswith('train') else 'val'
        _write(root / split / face.expression / f'{face.name}.png',
               face.drawn['img'])


def write_pain(root: Path) -> None:
    """Classes that are no expressions, with a folder for each person."""
    names = dict(neutral='No pain', disgust='pain')
    for i, face in enumerate(_faces(list(names), 64)):
        person = f'person{i // 2 % 9}'
        _write(root / names[face.expression] / person / f'{face.name}.png',
               face.drawn['img'])


def write_clone(root: Path) -> None:
    """Pictures under the names of the public set behind press_faces."""
    picture = draw_face('neutral', np.random.default_rng(0), size=350)['img']
    for i, face in enumerate(load_annotations()):
        shade = np.clip(picture.astype(int) + i % 97 - 48, 0, 255)
        _write(root / 'images' / face['source'], shade.astype(np.uint8))


def photograph(seed: int = 0, side: int = 384) -> np.ndarray:
    """A drawn face in the middle of a picture, (H, W, 3) BGR uint8."""
    from orsa.datasets import SyntheticFaces
    from orsa.datasets.transforms import DrawSyntheticFace
    faces = SyntheticFaces(num_samples=seed + 2, split='test', size=128)
    image = DrawSyntheticFace().transform(dict(
        faces.get_data_info(seed)))['img']
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(image, *[side // 4] * 4, cv2.BORDER_REPLICATE)


def write_images(folder: Path) -> None:
    """Photographs, aligned faces and a film, as docs/inference.md has them."""
    photo = photograph()
    for name in ('photo.jpg', 'holiday/beach.jpg', 'more/a/b.png'):
        _write(folder / name, photo)
    face = draw_face('surprise', np.random.default_rng(0), size=128)['img']
    for name in ('aligned/c.png', 'face.jpg'):
        _write(folder / name, face)
    height, width = photo.shape[:2]
    film = cv2.VideoWriter(
        str(folder / 'clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10,
        (width, height))
    assert film.isOpened()
    for i in range(12):
        film.write(np.roll(photo, 2 * i, axis=1))
    film.release()
