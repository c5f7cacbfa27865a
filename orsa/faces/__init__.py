# Copyright (c) orsa contributors. All rights reserved.
"""From photographs to aligned faces: found, aligned, followed, measured."""
