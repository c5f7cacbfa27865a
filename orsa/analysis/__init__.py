# Copyright (c) orsa contributors. All rights reserved.
"""A look into one model, or into data."""
