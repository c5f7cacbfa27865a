# Copyright (c) orsa contributors. All rights reserved.
"""Models side by side: ``python tools/benchmark.py CONFIG CONFIG --seeds 3``.

Trains and tests each on the same faces and puts accuracy, the test under
occlusion, size and time into one table. What is done already is not repeated.
Exits with 1 if a run failed.
"""
import argparse

from orsa.studies.benchmark import add_benchmark_arguments, benchmark
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Train and test several models on the same faces and '
        'write one table')
    add_benchmark_arguments(parser)
    return min(benchmark(parser.parse_args()), 1)


if __name__ == '__main__':
    run_script(main)
