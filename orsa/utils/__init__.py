# Copyright (c) orsa contributors. All rights reserved.
"""Helpers shared by all rooms of orsa.

Submodules are imported by name, so that this package stays light.
"""
