# Copyright (c) orsa contributors. All rights reserved.
"""Export a model: ``python tools/deployment/export.py CONFIG ...``."""
import argparse

from orsa.apis.exporting import add_export_arguments, export
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Export a model with its priors to one file, and check '
        'its predictions')
    add_export_arguments(parser)
    export(parser.parse_args())


if __name__ == '__main__':
    run_script(main)
