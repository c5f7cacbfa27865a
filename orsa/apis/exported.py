# Copyright (c) orsa contributors. All rights reserved.
"""The old place of :mod:`orsa.deploy.exported`, for imports and pickles."""
from orsa.deploy.export_info import ExportInfo
from orsa.deploy.exported import ExportedModel, is_exported, load_exported

__all__ = ['ExportInfo', 'ExportedModel', 'is_exported', 'load_exported']
