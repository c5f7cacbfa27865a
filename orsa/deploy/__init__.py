# Copyright (c) orsa contributors. All rights reserved.
"""A model in one file."""
