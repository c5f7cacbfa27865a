# Copyright (c) orsa contributors. All rights reserved.
from .dlib_resnet import DlibResNet
from .ir_net import IRNet
from .mobile_facenet import MobileFaceNet
from .mobile_net_v1 import MobileNetV1
from .orsanet import ORSANet
from .two_stream import TwoStream

__all__ = [
    'DlibResNet', 'IRNet', 'MobileFaceNet', 'MobileNetV1', 'ORSANet',
    'TwoStream'
]
