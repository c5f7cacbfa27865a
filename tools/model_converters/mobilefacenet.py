# Copyright (c) orsa contributors. All rights reserved.
"""Convert mobilefacenet_model_best.pth.tar, the landmark prior."""
from orsa.apis.converting import convert_mobilefacenet, main

if __name__ == '__main__':
    main(convert_mobilefacenet, __doc__)
