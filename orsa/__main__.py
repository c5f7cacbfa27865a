# Copyright (c) orsa contributors. All rights reserved.
"""``python -m orsa`` is the same as ``orsa``."""
import sys

from orsa.cli import main

if __name__ == '__main__':
    sys.exit(main())
