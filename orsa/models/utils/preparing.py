# Copyright (c) orsa contributors. All rights reserved.
"""The old name of :func:`orsa.models.utils.fast_copy.fast_copy`."""
from .fast_copy import fast_copy as prepare_for_inference  # noqa: F401
