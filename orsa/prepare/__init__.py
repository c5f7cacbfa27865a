# Copyright (c) orsa contributors. All rights reserved.
"""Once, before a training: verify, pack, convert, cache."""
