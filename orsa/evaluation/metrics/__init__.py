# Copyright (c) orsa contributors. All rights reserved.
from .calibration_error import expected_calibration_error
from .fer_metric import FERMetric

__all__ = ['FERMetric', 'expected_calibration_error']
