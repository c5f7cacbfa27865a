# Copyright (c) orsa contributors. All rights reserved.
from .fer_metric import FERMetric

__all__ = ['FERMetric']
