# Copyright (c) orsa contributors. All rights reserved.
from .calibration_error import expected_calibration_error
from .face_parsing_metric import FaceParsingMetric
from .fer_metric import FERMetric
from .per_dataset_metric import PerDatasetMetric

__all__ = [
    'FERMetric', 'FaceParsingMetric', 'PerDatasetMetric',
    'expected_calibration_error'
]
