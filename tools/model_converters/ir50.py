# Copyright (c) orsa contributors. All rights reserved.
"""Convert the face-recognition weights of IR-50 (ir50.pth)."""
from orsa.prepare.convert import convert_ir50, main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(lambda: main(convert_ir50, __doc__))
