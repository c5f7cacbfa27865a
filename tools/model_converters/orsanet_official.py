# Copyright (c) orsa contributors. All rights reserved.
"""Convert an official ORSANet checkpoint."""
from orsa.apis.converting import convert_official, main

if __name__ == '__main__':
    main(convert_official, __doc__, with_classes=True)
