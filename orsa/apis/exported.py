# Copyright (c) orsa contributors. All rights reserved.
"""The old place of :mod:`orsa.deploy.exported`, for imports and pickles."""
from orsa.deploy.export_info import ExportInfo, is_exported  # noqa: F401
from orsa.deploy.exported import ExportedModel, load_exported  # noqa: F401
from orsa.deploy.exported_classifier import ExportedClassifier  # noqa: F401
