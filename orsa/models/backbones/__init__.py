# Copyright (c) orsa contributors. All rights reserved.
from .ir_net import IRNet
from .mobile_facenet import MobileFaceNet
from .orsanet import ORSANet
from .two_stream import TwoStream

__all__ = ['IRNet', 'MobileFaceNet', 'ORSANet', 'TwoStream']
