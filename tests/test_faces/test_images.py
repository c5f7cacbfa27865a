# Copyright (c) orsa contributors. All rights reserved.
"""Images of all kinds are read as people see them, or refused by name."""
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, features

from orsa.faces.images import ImageError, list_images, read_image


@pytest.fixture(scope='module')
def rgb():
    """Smooth, so that JPEG keeps it; the left upper corner is red."""
    rng = np.random.default_rng(0)
    noise = rng.integers(40, 215, (6, 8, 3), np.uint8)
    image = cv2.resize(noise, (80, 60), interpolation=cv2.INTER_CUBIC)
    image[:20, :20] = (230, 30, 30)
    return image


def saved(tmp_path, image, name, **kwargs):
    path = tmp_path / name
    image.save(path, **kwargs)
    return str(path)


@pytest.mark.parametrize('name, mode, tolerance', [
    ('a.png', 'RGB', 0),
    ('a.bmp', 'RGB', 0),
    ('a.tiff', 'RGB', 0),
    ('a.webp', 'RGB', 12),
    ('a.jpg', 'RGB', 8),
    ('a.jpg', 'CMYK', 8),
    ('a.tif', 'CMYK', 1),
    ('a.png', 'P', 40),
    ('a.gif', 'P', 40),
])
def test_formats_and_modes(tmp_path, rgb, name, mode, tolerance):
    image = Image.fromarray(rgb)
    path = saved(tmp_path, image.convert(mode), name)
    found = read_image(path)
    assert found.dtype == np.uint8 and found.flags['C_CONTIGUOUS']
    difference = np.abs(found[..., ::-1].astype(int) - rgb)
    assert difference.mean() <= tolerance / 2
    assert np.median(difference) <= tolerance


def test_grey_and_16_bit(tmp_path, rgb):
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    deep = grey.astype(np.uint16) * 257
    for name, image in (('g.png', grey), ('d.png', deep), ('d.tif', deep)):
        cv2.imwrite(str(tmp_path / name), image)
        found = read_image(tmp_path / name)
        assert found.shape == (60, 80, 3)
        np.testing.assert_array_equal(found, grey[..., None].repeat(3, 2))
    colours = rgb[..., ::-1].astype(np.uint16) * 257
    for name in ('c.png', 'c.tif'):
        cv2.imwrite(str(tmp_path / name), colours)
        np.testing.assert_array_equal(
            read_image(tmp_path / name), rgb[..., ::-1])


def test_what_is_transparent_is_on_white(tmp_path, rgb):
    image = Image.fromarray(rgb).convert('RGBA')
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[30:] = 0
    alpha[:10] = 51  # a fifth
    image.putalpha(Image.fromarray(alpha))
    found = read_image(saved(tmp_path, image, 'a.png'))[..., ::-1]
    assert (found[30:] == 255).all()
    np.testing.assert_array_equal(found[10:30], rgb[10:30])
    np.testing.assert_allclose(found[:10], 204 + rgb[:10] / 5, atol=1)
    array = np.dstack([rgb, alpha])[..., [2, 1, 0, 3]]
    np.testing.assert_allclose(read_image(array), found[..., ::-1], atol=1)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_rotated_as_exif_says(tmp_path, rgb, orientation):
    """OpenCV, which turns too, says what is right."""
    exif = Image.Exif()
    exif[0x112] = orientation
    path = saved(
        tmp_path, Image.fromarray(rgb), 'a.jpg', exif=exif, quality=95)
    expected = cv2.imread(path, cv2.IMREAD_COLOR)
    np.testing.assert_allclose(read_image(path).astype(int), expected, atol=6)
    assert expected.shape[:2] == ((60, 80) if orientation < 5 else (80, 60))


def one_bit_png(width, height):
    """A file of some kilobytes that unpacks to a huge picture."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))

    row = b'\0' * (width // 8 + 1)
    packer = zlib.compressobj(1)
    data = b''.join(packer.compress(row) for _ in range(height))
    header = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) +
            chunk(b'IDAT', data + packer.flush()) + chunk(b'IEND', b''))


def test_bad_files_are_refused_in_one_line(tmp_path, rgb):
    good = saved(tmp_path, Image.fromarray(rgb), 'good.jpg')
    with open(good, 'rb') as file:
        content = file.read()
    (tmp_path / 'cut.jpg').write_bytes(content[:len(content) // 2])
    (tmp_path / 'empty.png').write_bytes(b'')
    (tmp_path / 'text.png').write_text('no picture')
    (tmp_path / 'big.png').write_bytes(one_bit_png(9500, 9500))
    (tmp_path / 'bomb.png').write_bytes(one_bit_png(20000, 20000))
    Image.fromarray(rgb[..., 0].astype(np.float32)).save(tmp_path / 'f.tif')
    (tmp_path / 'clip.mp4').write_bytes(b'0')
    for name, reason in (('cut.jpg', 'cut off'), ('empty.png',
                                                  'the file is empty'),
                         ('text.png', 'in none of the formats'),
                         ('big.png', 'max_pixels=89478485'),
                         ('bomb.png', 'too many pixels'),
                         ('f.tif', '8 or 16 bits'), ('away.jpg',
                                                     'no such file'),
                         ('clip.mp4', 'orsa video'), ('.', 'a folder')):
        with pytest.raises(ImageError, match=reason) as caught:
            read_image(tmp_path / name)
        assert '\n' not in str(caught.value)
    with pytest.raises(ImageError, match='address'):
        read_image('https://example.org/a.jpg')
    assert read_image(good, max_pixels=4800).shape == (60, 80, 3)
    with pytest.raises(ImageError, match='max_pixels=4799'):
        read_image(good, max_pixels=4799)


def test_arrays_of_other_kinds(rgb):
    assert read_image(rgb[..., 0]).shape == (60, 80, 3)
    assert read_image(rgb[..., :1]).shape == (60, 80, 3)
    for wrong in (rgb / 255., rgb[..., :2], rgb[:0], rgb.astype(int)):
        with pytest.raises(TypeError, match='uint8 or uint16'):
            read_image(wrong)


def test_what_is_listed(tmp_path, rgb):
    for name in ('b.JPG', 'a.png', 'note.txt', 'clip.mp4'):
        (tmp_path / name).write_bytes(b'0')
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more/c.png').write_bytes(b'0')
    (tmp_path / 'none').mkdir()

    def names(inputs):
        return [
            s.name.replace(str(tmp_path) + '/', '')
            for s in list_images(inputs) if not s.error
        ]

    assert names(tmp_path) == ['a.png', 'b.JPG']
    assert names(f'{tmp_path}/**/*.png') == ['a.png', 'more/c.png']
    # what is named is taken, whatever it is called
    assert names([tmp_path / 'note.txt', rgb]) == ['note.txt', 'array 0']
    assert names(np.stack([rgb, rgb])) == ['array 0', 'array 1']
    errors = [s.error for s in list_images([tmp_path / 'none', '*.no'])]
    assert 'no image in this folder' in errors[0]
    assert 'no file matches' in errors[1]
    # a file that has a pattern's letters in its name is a file
    (tmp_path / 'a[1].png').write_bytes(b'0')
    assert names(tmp_path / 'a[1].png') == ['a[1].png']
    for wrong in (3, [3], dict(a=1)):
        with pytest.raises(TypeError, match='int|dict'):
            list(list_images(wrong))


@pytest.mark.parametrize('name', ['a [2020]', 'what?', 'all *', '[ab]'])
def test_folders_with_a_patterns_letters(tmp_path, name):
    folder = tmp_path / name
    (folder / 'day [1]').mkdir(parents=True)
    for path in (folder / 'a.png', folder / 'day [1]/b[1].png'):
        path.write_bytes(b'0')

    def found(path):
        return [s.name for s in list_images(str(path)) if not s.error]

    first, second = str(folder / 'a.png'), str(folder / 'day [1]/b[1].png')
    assert found(folder) == found(folder / '*.png') == [first]
    assert found(second) == found(folder / 'day [1]/*') == [second]
    assert found(folder / '**/*.png') == [first, second]


def test_what_is_in_memory(tmp_path, rgb):
    """Bytes, open files and pictures of Pillow, alone and by a generator."""
    exif = Image.Exif()
    exif[0x112] = 6
    path = saved(tmp_path, Image.fromarray(rgb), 'a.jpg', exif=exif)
    with open(path, 'rb') as file:
        content = file.read()
        file.seek(0)
        inputs = [
            path, content,
            bytearray(content), file,
            io.BytesIO(content),
            Image.open(path)
        ]
        expected = read_image(path)
        assert expected.shape == (80, 60, 3)
        sources = list(list_images(one for one in inputs))
        assert [s.name for s in sources] == [
            path, 'bytes 0', 'bytes 1', 'file 2', 'file 3', 'image 4'
        ]
        for source in sources:
            np.testing.assert_array_equal(read_image(source.image), expected)
    for one in inputs[1:3] + inputs[4:]:
        assert len(list(list_images(one))) == 1
    with open(path, encoding='latin') as file:
        with pytest.raises(ImageError, match="'rb'"):
            read_image(file)
    with pytest.raises(ImageError, match='max_pixels=9'):
        read_image(inputs[-1], max_pixels=9)


def test_an_avif_alone_in_a_folder(cases_dir, tmp_path):
    (tmp_path / 'face.AVIF').write_bytes(
        (cases_dir / 'face.avif').read_bytes())
    source, = list_images(tmp_path)
    assert not source.error
    if features.check('avif'):
        assert read_image(source.image).shape[2] == 3
    else:
        with pytest.raises(ImageError, match='pillow>=11.3'):
            read_image(source.image)
