# Copyright (c) orsa contributors. All rights reserved.
from .consistency_classifier import ConsistencyClassifier

__all__ = ['ConsistencyClassifier']
