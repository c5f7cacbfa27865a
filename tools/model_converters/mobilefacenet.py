# Copyright (c) orsa contributors. All rights reserved.
"""Convert mobilefacenet_model_best.pth.tar, the landmark prior."""
from orsa.prepare.convert import convert_mobilefacenet, main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(lambda: main(convert_mobilefacenet, __doc__))
