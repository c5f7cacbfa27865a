# Copyright (c) orsa contributors. All rights reserved.
"""Convert SegFace's model_299.pt (Swin-B, LaPa), the parsing prior.

Writes the backbone, whose feature the published ORSANet uses, or
--with-decoder the whole segmentor, which gives masks.
"""
from orsa.apis.converting import convert_segface, main

if __name__ == '__main__':
    main(convert_segface, __doc__, with_decoder=True)
