# Copyright (c) orsa contributors. All rights reserved.
"""Variants of a piece of work, timed in turn."""
