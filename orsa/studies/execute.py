# Copyright (c) orsa contributors. All rights reserved.
"""Execute one run of a study, in a process of its own, see :mod:`.study`."""
import json
import sys

from mmengine.utils import get_object_from_string

from .study import Run


def main(study: str, arguments: str, run: str) -> None:
    """Execute a run; the study's arguments and the run are JSON."""
    cls = get_object_from_string(study)
    cls(**json.loads(arguments)).execute(Run(*json.loads(run)))


if __name__ == '__main__':
    main(*sys.argv[1:])
