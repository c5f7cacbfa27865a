# Copyright (c) orsa contributors. All rights reserved.
"""Exported files: ``python tools/benchmarks/export.py --files DIR``."""
import argparse

from speed.export import add_arguments, benchmark

from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Latency and accuracy of exported files, against the '
        'model itself')
    add_arguments(parser)
    benchmark(parser.parse_args())


if __name__ == '__main__':
    run_script(main)
