# Copyright (c) orsa contributors. All rights reserved.
"""Interleaved timing of variants of the same work."""
