# Copyright (c) orsa contributors. All rights reserved.
"""MMEngine's access to local files, by ours."""
from mmengine.fileio import LocalBackend, register_backend

from .fileio import atomic_path
from .image_files import read_bytes


class AtomicBackend(LocalBackend):
    """MMEngine's access to local files, which writes completely or not at all.

    All loaders of images read by it: no pipe, no device, and no PNG of which
    OpenCV would take memory without end, see
    :func:`orsa.utils.image_files.image_fault`.
    """

    def get(self, filepath: str) -> bytes:
        """Read bytes, as :func:`orsa.utils.image_files.read_bytes`."""
        return read_bytes(filepath)

    def put(self, obj: bytes, filepath: str) -> None:
        """Write bytes."""
        with atomic_path(filepath) as temporary:
            with open(temporary, 'wb') as file:
                file.write(obj)

    def put_text(self,
                 obj: str,
                 filepath: str,
                 encoding: str = 'utf-8') -> None:
        """Write a text."""
        self.put(obj.encode(encoding), filepath)


def register_atomic_backend() -> None:
    """Let MMEngine write checkpoints and dumps completely or not at all.

    MMEngine 0.10.7 opens the file itself for writing: killed meanwhile, it
    leaves half a checkpoint under a good name. This replaces its access to
    local files in the place that it provides for it.
    """
    register_backend('local', AtomicBackend, force=True, prefixes='')
