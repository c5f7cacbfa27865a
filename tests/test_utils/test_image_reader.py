# Copyright (c) orsa contributors. All rights reserved.
"""Training and prediction read the same pixels from every kind of image."""
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image, features

from orsa.datasets import FERDataset
from orsa.faces.images import load_image
from orsa.utils.image_files import IMAGE_SUFFIXES
from orsa.utils.image_reader import (ImageError, decode_image,
                                     decoder_messages, from_array)

needs_avif = pytest.mark.skipif(
    not features.check('avif'), reason='Pillow was built without AVIF')


@pytest.fixture(scope='module')
def rgb():
    """Smooth, so that JPEG keeps it; no side is a multiple of 16."""
    noise = np.random.default_rng(0).integers(40, 215, (6, 8, 3), np.uint8)
    return cv2.resize(noise, (84, 62), interpolation=cv2.INTER_CUBIC)


def encode(image, kind, **kwargs):
    file = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(file, kind, **kwargs)
    return file.getvalue()


def exif(orientation):
    found = Image.Exif()
    found[0x112] = orientation
    return found


def clear(rgb):
    """Cut out: black, where nothing is seen of it."""
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[10:50, 20:70], alpha[20:30] = 255, 99
    return Image.fromarray(np.dstack([rgb * (alpha[..., None] > 0), alpha]))


def cv2_bytes(suffix, array):
    return cv2.imencode(suffix, array)[1].tobytes()


def kinds(rgb):
    """Files by what they are."""
    image, cut = Image.fromarray(rgb), clear(rgb)
    deep = rgb[..., ::-1].astype(np.uint16) * 257
    palette = image.quantize(32)
    found = {
        'plain.png':
        encode(image, 'PNG'),
        'grey.png':
        encode(image.convert('L'), 'PNG'),
        'bits.png':
        encode(image.convert('1'), 'PNG'),
        'palette.png':
        encode(palette, 'PNG'),
        'opaque.png':
        encode(image.convert('RGBA'), 'PNG'),
        'rgba.png':
        encode(cut, 'PNG'),
        'la.png':
        encode(cut.convert('LA'), 'PNG'),
        'clear_colour.png':
        encode(palette, 'PNG', transparency=3),
        'clear_colours.png':
        encode(palette, 'PNG', transparency=bytes(range(0, 256, 8))),
        'clear_rgb.png':
        encode(image, 'PNG', transparency=image.getpixel((0, 0))),
        'deep.png':
        cv2_bytes('.png', deep),
        'deep_grey.png':
        cv2_bytes('.png', deep[..., 0]),
        'deep_rgba.png':
        cv2_bytes('.png',
                  np.dstack([deep,
                             np.asarray(cut)[..., 3] * np.uint16(257)])),
        'ten_bits.png':
        cv2_bytes('.png', deep >> 6),
        'twelve_bits.tif':
        cv2_bytes('.tif', deep >> 4),
        'deep.tif':
        cv2_bytes('.tif', deep),
        'rgba.tif':
        encode(cut, 'TIFF'),
        'lzw.tif':
        encode(image, 'TIFF', compression='tiff_lzw'),
        'cmyk.tif':
        encode(image.convert('CMYK'), 'TIFF'),
        'lab.tif':
        encode(image.convert('LAB'), 'TIFF'),
        'rgba.webp':
        encode(cut, 'WEBP', lossless=True),
        'lossy.webp':
        encode(image, 'WEBP', quality=80),
        'a.gif':
        encode(palette, 'GIF'),
        'clear.gif':
        encode(palette, 'GIF', transparency=3),
        'a.bmp':
        encode(image, 'BMP'),
        'a.dib':
        encode(image, 'DIB'),
        'a.jp2':
        encode(image, 'JPEG2000'),
        'rgba.jp2':
        encode(cut, 'JPEG2000'),
        'a.ppm':
        encode(image, 'PPM'),
        'a.pgm':
        encode(image.convert('L'), 'PPM'),
        'deep.pgm':
        b'P5 8 8 1023\n' + np.arange(0, 1024, 16).astype('>u2').tobytes(),
        'grey.jpg':
        encode(image.convert('L'), 'JPEG'),
        'cmyk.jpg':
        encode(image.convert('CMYK'), 'JPEG'),
        'progressive.jpg':
        encode(image, 'JPEG', progressive=True),
        'tail.jpg':
        encode(image, 'JPEG') + b'\xff\xda and what phones add',
        'no_end.jpg':
        encode(image, 'JPEG')[:-2],
        'half_an_end.jpg':
        encode(image, 'JPEG')[:-1],
        'no_end.png':
        encode(image, 'PNG')[:-12],
    }
    for sampling in range(3):
        found[f'sampling{sampling}.jpg'] = encode(
            image, 'JPEG', quality=70 + 10 * sampling, subsampling=sampling)
    for turn in range(1, 9):
        found[f'turned{turn}.jpg'] = encode(image, 'JPEG', exif=exif(turn))
        found[f'turned{turn}.png'] = encode(image, 'PNG', exif=exif(turn))
        found[f'turned{turn}.webp'] = encode(image, 'WEBP', exif=exif(turn))
        found[f'turned{turn}.tif'] = encode(cut, 'TIFF', exif=exif(turn))
        if features.check('avif'):
            found[f'turned{turn}.avif'] = encode(
                image, 'AVIF', exif=exif(turn))
    return found


def at(folder, name):
    """In a folder by suffix: names without it are those of samples."""
    return Path(folder) / name.split('.')[1] / name


@pytest.fixture(scope='module')
def folder(rgb, tmp_path_factory):
    path = tmp_path_factory.mktemp('kinds')
    names = []
    for name, data in kinds(rgb).items():
        at(path, name).parent.mkdir(exist_ok=True)
        at(path, name).write_bytes(data)
        names.append(at('', name))
    (path / 'list.txt').write_text(''.join(f'{n} fear\n' for n in names))
    return path


@pytest.mark.filterwarnings('ignore:.*with a warning')
@pytest.mark.parametrize('load', ['LoadImageFromFile', 'orsa.LoadFace'])
def test_training_and_prediction_see_the_same(folder, load):
    dataset = FERDataset(
        'list.txt', data_root=str(folder), pipeline=[dict(type=load)])
    assert len(dataset) > 70
    for k in range(len(dataset)):
        info = dataset.get_data_info(k)
        predicted = load_image(info['img_path']).image
        trained = dataset[k]
        assert predicted.dtype == np.uint8 and predicted.ndim == 3
        for image in (trained['img'], dataset.read_image(info)[0]):
            np.testing.assert_array_equal(image, predicted, info['name'])
        assert trained['ori_shape'] == predicted.shape[:2]


def test_ordinary_files_are_as_mmcv_loads_them(folder):
    """What trainings had, they have."""
    load = LoadImageFromFile()
    for name in ('plain.png', 'grey.png', 'bits.png', 'palette.png',
                 'opaque.png', 'grey.jpg', 'progressive.jpg', 'tail.jpg',
                 'a.bmp', 'a.ppm', *(f'sampling{s}.jpg' for s in range(3)),
                 *(f'turned{t}.jpg'
                   for t in range(1, 9)), *(f'turned{t}.png'
                                            for t in range(1, 9))):
        whole = load(dict(img_path=str(at(folder, name))))['img']
        np.testing.assert_array_equal(
            load_image(at(folder, name)).image, whole, name)


def test_what_is_transparent_is_on_white(folder, rgb):
    alpha = np.asarray(clear(rgb))[..., 3:] / 255.
    expected = (rgb * (alpha > 0) * alpha + 255 * (1 - alpha))[..., ::-1]
    for name in ('rgba.png', 'rgba.webp', 'rgba.tif', 'rgba.jp2',
                 'deep_rgba.png'):
        found = load_image(at(folder, name)).image
        np.testing.assert_allclose(found, expected, atol=1.5, err_msg=name)


@needs_avif
def test_an_avif_is_rotated(folder):
    """As Pillow turns another format, which OpenCV's AVIF does not."""
    for turn in range(1, 9):
        found = load_image(at(folder, f'turned{turn}.avif')).image
        like = cv2.imread(str(at(folder, f'turned{turn}.jpg')))
        assert found.shape == like.shape
        assert np.abs(found.astype(int) - like).mean() < 4


def test_fewer_bits_in_16(folder, rgb):
    for name, bits in (('ten_bits.png', 10), ('twelve_bits.tif', 12)):
        image, notes = load_image(at(folder, name))
        np.testing.assert_array_equal(image, rgb[..., ::-1], name)
        assert f'taken for {bits} bits' in notes[0]
    for name in ('deep.png', 'deep.tif'):
        image, notes = load_image(at(folder, name))
        np.testing.assert_array_equal(image, rgb[..., ::-1], name)
        assert not notes
    # the file says itself to have 1023 at most
    image = load_image(at(folder, 'deep.pgm')).image[..., 0]
    np.testing.assert_array_equal(image.ravel(), np.arange(0, 256, 4))
    image, notes = from_array(np.full((4, 4), 1000, np.uint16))
    assert image.max() == 250 and 'end at 1000' in notes[0]


@pytest.mark.parametrize('how', [{}, dict(progressive=True)])
def test_without_an_end_and_cut_off(rgb, how):
    """The line between the two: whether all pixels are there. Of several
    scans, and of CMYK, this is not known."""
    for mode in ('RGB', 'L', 'CMYK'):
        data = encode(Image.fromarray(rgb).convert(mode), 'JPEG', **how)
        full = decode_image(data)
        assert not full.notes
        for size in (*range(200,
                            len(data) - 40, 37),
                     *range(len(data) - 40, len(data))):
            known = mode != 'CMYK' and not how
            try:
                image, notes = decode_image(data[:size])
            except ImageError as error:
                assert 'cut off' in str(error) and str(size) in str(error)
                assert not known or size < len(data) - 2
                continue
            assert size > len(data) - 6, 'only padding may be missing'
            np.testing.assert_array_equal(image, full.image)
            assert not known or notes == ('its end marker is missing', )
    assert 'missing from row' in cut_message(encode(rgb, 'JPEG'))


def cut_message(data):
    with pytest.raises(ImageError) as caught:
        decode_image(data[:len(data) * 2 // 3])
    return str(caught.value)


def test_cut_off_in_other_formats(folder):
    names = ('plain.png', 'a.bmp', 'a.gif', 'lossy.webp', 'lzw.tif', 'a.jp2',
             'a.ppm') + ('turned1.avif', ) * features.check('avif')
    for name in names:
        data = (at(folder, name)).read_bytes()
        with pytest.raises(ImageError) as caught:
            decode_image(data[:len(data) * 2 // 3])
        assert '\n' not in str(caught.value)


def damaged_jpeg(rgb):
    data = bytearray(encode(rgb, 'JPEG', quality=90))
    return bytes(data[:len(data) // 2] + b'\xff\xd9')


def test_warnings_of_decoders_are_reported(rgb, tmp_path, capfd):
    path = tmp_path / 'a.jpg'
    path.write_bytes(damaged_jpeg(rgb))
    image, notes = load_image(path)
    assert image.shape == rgb.shape and 'premature end' in notes[0]
    path.write_bytes(encode(rgb, 'JPEG'))
    assert load_image(path).notes == ()
    assert capfd.readouterr().err == ''


def test_what_is_printed_meanwhile_is_collected(capfd):
    with decoder_messages() as said:
        # more than a pipe holds must not wait for ever
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                while True:
                    os.write(2, b'[ WARN:0@1.5] global a.cpp:1 f it is bad\n')
    assert said[0] == 'it is bad'
    os.write(2, b'after')
    assert capfd.readouterr().err == 'after'


def test_training_says_it_once(rgb, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(encode(rgb, 'JPEG')[:-2])
    (tmp_path / 'list.txt').write_text('a.jpg fear\n')
    dataset = FERDataset(
        'list.txt',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile')])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('default')
        for _ in range(2):
            dataset[0]
    assert ["a.jpg' is read, with a warning: its end marker is missing"
            ] == [str(w.message).split('/')[-1] for w in said]


def test_numbers_of_no_known_range_are_refused():
    """A float image from 0 to 1 is not read as black."""
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    for one in (image, image[..., 0]):
        _, data = cv2.imencode('.pfm', one)
        with pytest.raises(ImageError, match='range|formats'):
            decode_image(data.tobytes())


def test_heic_is_read_or_its_package_named():
    data = struct.pack('>I', 24) + b'ftypheic' + bytes(12) + zlib.compress(b'')
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        assert 'pip install pillow-heif' in str(caught.value)
    else:
        assert 'HEIF' in str(caught.value)


def test_heic_is_read(cases_dir):
    """As what it was made of, but for what compression changes."""
    pillow_heif = pytest.importorskip('pillow_heif')
    image = Image.open(cases_dir / 'base.png').convert('RGB')
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95)
    read = decode_image(file.getvalue()).image[..., ::-1].astype(int)
    assert np.abs(read - np.asarray(image)).mean() < 4


def test_the_cases(cases_dir):
    """A face cut out is the opaque one on white; all suffixes are read."""
    base = load_image(cases_dir / 'base.png').image
    alpha = np.asarray(Image.open(cases_dir / 'rgba_cut.png'))[..., 3]
    cut = load_image(cases_dir / 'rgba_cut.png').image
    np.testing.assert_array_equal(cut[alpha == 255], base[alpha == 255])
    assert (cut[alpha == 0] == 255).all() and (alpha == 0).any()
    for path in (cases_dir / 'suffixes/happiness').iterdir():
        assert path.suffix in IMAGE_SUFFIXES
        if path.suffix != '.avif' or features.check('avif'):
            assert load_image(path).image.shape[2] == 3
