# Copyright (c) orsa contributors. All rights reserved.
"""What orsa has written, so that it is not taken for somebody's picture."""
import contextlib
import os.path as osp

# stands in the first bytes of every drawing: a JPEG's comment, a PNG's
# 'Software'
MARK = 'drawn by orsa'
SUMMARY, EMBEDDINGS = 'summary.json', 'embeddings.npz'
RESULTS = ('predictions.jsonl', 'predictions.csv', SUMMARY)
_DRAWINGS = ('.jpg', '.png')
_OF_VIDEOS = ('_faces.mp4', '_faces.csv', '_faces.jsonl')
_HEAD = 1024  # bytes


def is_own_file(path: str) -> bool:
    """Whether a file is a result or a drawing of ``orsa predict`` or
    ``orsa video``."""
    for end in _OF_VIDEOS:
        if path.endswith(end):
            return osp.isfile(path[:-len(end)] + _OF_VIDEOS[-1])
    if osp.splitext(path)[1] in _DRAWINGS and osp.isfile(path):
        # one that cannot be read is an error where it is read
        with contextlib.suppress(OSError), open(path, 'rb') as file:
            return MARK.encode() in file.read(_HEAD)
        return False
    return osp.basename(path) in (*RESULTS, EMBEDDINGS)
