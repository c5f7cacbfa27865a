# Copyright (c) orsa contributors. All rights reserved.
"""An ONNX file whose weights lie in the checkpoint that it was made of.

A checkpoint of PyTorch is a zip archive whose tensors are not compressed. ONNX
may say of a tensor in which file beside it, and where in it, its bytes lie
(`external data <https://onnx.ai/onnx/repo-docs/ExternalData.html>`_): both
together are hardly larger than the checkpoint alone.
"""
import os.path as osp
import struct
import zipfile
from typing import Dict, Tuple

import numpy as np

# smaller ones are not worth a reference
_FEWEST = 256


def share_weights(path: str, checkpoint: str) -> None:
    """Replace the weights in an ONNX file by references to a checkpoint.

    What the checkpoint does not have as it is stays in the file, in half
    precision where that is exact.

    Args:
        path (str): The file, in the folder of the checkpoint. It is replaced.
        checkpoint (str): Of the format of PyTorch 1.6 and later.

    Raises:
        ValueError: If they lie in two folders.
    """
    import onnx  # optional
    if osp.dirname(osp.abspath(path)) != osp.dirname(osp.abspath(checkpoint)):
        raise ValueError(f"a file that shares the weights of '{checkpoint}' "
                         f"has to lie beside it, not at '{path}'")
    places = _stored_tensors(checkpoint)
    model = onnx.load(path)
    graph, kept, casts = model.graph, [], []
    for full in graph.initializer:
        value = onnx.numpy_helper.to_array(full)
        with np.errstate(over='ignore'):
            half = value.astype(np.float16)
        exact = value.dtype == np.float32 and np.array_equal(half, value)
        place = places.get(value.tobytes())
        if value.size < _FEWEST or place is None and not exact:
            kept.append(full)
            continue
        name = full.name
        if place is None:
            value, place = half, places.get(half.tobytes())
            name = f'{name}.half'
            casts.append(
                onnx.helper.make_node(
                    'Cast', [name], [full.name],
                    name=f'{full.name}.cast',
                    to=onnx.TensorProto.FLOAT))
        kept.append(onnx.numpy_helper.from_array(value, name))
        if place is not None:
            _refer(kept[-1], osp.basename(checkpoint), *place)
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    # onnx.save would gather the references
    with open(path, 'wb') as file:
        file.write(model.SerializeToString())


def _refer(tensor, location: str, offset: int, length: int) -> None:
    """Let a tensor of ONNX say where its bytes are."""
    tensor.ClearField('raw_data')
    tensor.data_location = tensor.EXTERNAL
    for key, value in (('location', location), ('offset', offset), ('length',
                                                                    length)):
        tensor.external_data.add(key=key, value=str(value))


def _stored_tensors(checkpoint: str) -> Dict[bytes, Tuple[int, int]]:
    """Offset and length of the tensors in a checkpoint, by their bytes."""
    places = {}
    with open(checkpoint, 'rb') as file, zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if '/data/' not in entry.filename or entry.compress_type:
                continue
            # the local header has a fixed part, the name and padding
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack('<HH', file.read(4))
            start = entry.header_offset + 30 + name + extra
            file.seek(start)
            places[file.read(entry.file_size)] = start, entry.file_size
    return places
