# Copyright (c) orsa contributors. All rights reserved.
"""Priors from the disk in place of computing them."""
