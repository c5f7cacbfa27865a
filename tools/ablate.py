# Copyright (c) orsa contributors. All rights reserved.
"""Run an ablation study: ``python tools/ablate.py [STUDY]``."""
import argparse
import sys

from orsa.studies.ablation import ablate, add_ablate_arguments
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Train and test the variants of a study, and write its '
        'report')
    add_ablate_arguments(parser)
    return min(ablate(parser.parse_args(), sys.argv[1:]), 1)


if __name__ == '__main__':
    run_script(main)
