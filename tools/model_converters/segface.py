# Copyright (c) orsa contributors. All rights reserved.
"""Convert SegFace's model_299.pt (Swin-B, LaPa), the parsing prior.

Writes the backbone, whose feature the published ORSANet uses, or with
--with-decoder the complete segmentor, which gives masks.
"""
from orsa.prepare.convert import convert_segface, main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(lambda: main(convert_segface, __doc__))
