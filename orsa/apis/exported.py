# Copyright (c) orsa contributors. All rights reserved.
"""The old place of :mod:`orsa.deploy.exported`, for imports and pickles."""
from orsa.deploy.export_info import ExportInfo
from orsa.deploy.exported import ExportedModel, is_exported, load_exported
from orsa.deploy.exported_classifier import ExportedClassifier

__all__ = [
    'ExportInfo', 'ExportedClassifier', 'ExportedModel', 'is_exported',
    'load_exported'
]
