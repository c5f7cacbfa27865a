# Copyright (c) orsa contributors. All rights reserved.
"""Convert an official ORSANet checkpoint."""
from orsa.prepare.convert import convert_official, main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(lambda: main(convert_official, __doc__))
