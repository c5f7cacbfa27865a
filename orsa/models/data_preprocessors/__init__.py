# Copyright (c) orsa contributors. All rights reserved.
from .companion_data_preprocessor import CompanionDataPreprocessor

__all__ = ['CompanionDataPreprocessor']
