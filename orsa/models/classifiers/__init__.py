# Copyright (c) orsa contributors. All rights reserved.
from .average_score_tta import AverageScoreTTA
from .consistency_classifier import ConsistencyClassifier

__all__ = ['AverageScoreTTA', 'ConsistencyClassifier']
