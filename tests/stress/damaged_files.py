# Copyright (c) orsa contributors. All rights reserved.
"""Valid files, and every way to damage them."""
import json
import re
import struct
import zlib

import cv2
import numpy as np

# OpenCV 4.8 writes no GIF
IMAGE_FORMATS = tuple(
    suffix for suffix in ('.jpg', '.png', '.webp', '.bmp', '.tiff', '.gif')
    if cv2.haveImageWriter(suffix))
EXTREMES = (0, 1, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
            0xffffffff)
# what a field of a list may be instead of what it should be
TOKENS = ('', '.', '..', '../../outside.png', 'b/../../outside.png',
          '/etc/hostname', '~', '\\..\\x', '\0', '\u00b2', '\u0663', '-1',
          '1e309', 'nan', '9' * 30, '9' * 5000, 'x' * 5000, '"', "'", '#',
          '\u2028', '\ufeff', 'null', '[]', '{', '\U0001f642', '\x1a')
VALUES = (None, True, -1, 1e308, float('nan'), float('-inf'), 10**400, '', 'x',
          'x' * 9000, '\ud800', '../../x', [], {}, [[]], [1, [2]], {
              'a': 1
          })


def smooth_image(rng, side=48):
    """Make a smooth image, as faces are."""
    noise = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def encoded_images(rng):
    """Images of every format and depth, by suffix."""
    image = smooth_image(rng)
    made = [(s, cv2.imencode(s, image)[1].tobytes()) for s in IMAGE_FORMATS]
    deep = image.astype(np.uint16) * 257
    grey = image[..., 0]
    clear = np.dstack([image, grey])
    for suffix, other, options in (('.jpg', image,
                                    [cv2.IMWRITE_JPEG_PROGRESSIVE,
                                     1]), ('.jpg', grey, []), ('.png', deep,
                                                               []),
                                   ('.png', grey, []), ('.png', clear, []),
                                   ('.tiff', deep, []), ('.webp', clear, [])):
        made.append((suffix, cv2.imencode(suffix, other,
                                          options)[1].tobytes()))
    return made


def chunk(kind, content, length=None):
    """A chunk of a PNG, which may claim another length than it has."""
    body = kind + content
    length = len(content) if length is None else length
    return struct.pack('>I', length) + body + struct.pack(
        '>I', zlib.crc32(body))


def png(width, height, data=b'\0' * 64, depth=8, colour=2, claimed=None):
    """A PNG that claims a size."""
    head = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(
        b'IDAT', zlib.compress(data), claimed) + chunk(b'IEND', b'')


def mutate(data, rng):
    """Change, cut, repeat or join bytes."""
    data = bytearray(data)
    kind = rng.integers(7)
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
    elif kind == 5:  # a number of two or four bytes, anywhere
        kind = rng.choice(['<H', '>H', '<I', '>I'])
        at = int(rng.integers(max(len(data) - 4, 1)))
        value = int(rng.choice(EXTREMES)) % (1 << 8 * struct.calcsize(kind))
        data[at:at + struct.calcsize(kind)] = struct.pack(kind, value)
    else:
        a, b = sorted(rng.integers(len(data), size=2))
        data += data[a:b]
    return bytes(data)


def mutate_header(data, rng, size=400):
    """Set numbers of the first bytes of a container to extremes."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(min(size, len(data) - 4) // 2)) * 2
        kind = '<I' if data.startswith(b'RIFF') else '>I'
        data[at:at + 4] = struct.pack(kind, int(rng.choice(EXTREMES)))
    return bytes(data)


def mutate_text(data, rng):
    """Damage a list as editors, spreadsheets and people do."""
    kind = rng.integers(8)
    if kind == 0:
        return mutate(data, rng)
    text = data.decode()
    lines = text.splitlines()
    at = rng.integers(len(lines))
    if kind == 1:
        codec = rng.choice(['utf-16', 'utf-32', 'latin-1', 'utf-8-sig'])
        return (text + '\n\u00e9.png').encode(codec)
    if kind == 2:
        end = rng.choice(['\r\n', '\r', '\n\n', ' \n\t', '\0\n', '\x0b'])
        return str(end).join(lines).encode()
    if kind == 3:  # twice, elsewhere, or not at all
        line = lines[at]
        if rng.integers(2):
            del lines[at]
        lines.insert(rng.integers(len(lines) + 1), line)
    elif kind == 4:  # columns
        fields = re.split('([ ,\t])', lines[at])
        where = rng.integers(len(fields))
        if rng.integers(2):
            del fields[where]
        else:
            fields.insert(where, str(rng.choice([',', ' ', ',7', ' fear'])))
        lines[at] = ''.join(fields)
    else:  # a field
        found = list(re.finditer(r'[^\s,]+', lines[at]))
        if found:
            a, b = found[rng.integers(len(found))].span()
            token = TOKENS[rng.integers(len(TOKENS))]
            lines[at] = lines[at][:a] + token + lines[at][b:]
    return '\n'.join(lines).encode(errors='surrogatepass')


def mutate_json(data, rng):
    """Damage JSON, as text or as a structure."""
    kind = rng.integers(6)
    if kind < 2:
        return mutate(data, rng)
    if kind == 2:
        return bytes(rng.choice([b'[' * 100000, b'', b'null', b'3', b'"x"']))
    content = json.loads(data)
    node, places = content, []
    while isinstance(node, (dict, list)) and node:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = keys[rng.integers(len(keys))]
        places.append((node, key))
        node = node[key]
    node, key = places[rng.integers(len(places))]
    if kind == 3:
        del node[key]
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(content).encode()
