# Copyright (c) orsa contributors. All rights reserved.
"""What each part brings: ``python tools/ablate.py [STUDY]``."""
import argparse
import sys

from orsa.apis.ablation import ablate, add_ablate_arguments

if __name__ == '__main__':
    parser = argparse.ArgumentParser(
        description='Run a study of variants and write its report')
    add_ablate_arguments(parser)
    sys.exit(min(ablate(parser.parse_args()), 1))
