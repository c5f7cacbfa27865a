# Copyright (c) orsa contributors. All rights reserved.
"""Compare models: ``python tools/benchmark.py CONFIG CONFIG --seeds 3``.

Trains and tests each on the same faces and writes one table of accuracy,
accuracy under occlusion, size and time. Finished runs are not repeated. Exits
with 1 if a run failed.
"""
import argparse
import sys

from orsa.studies.benchmark import add_benchmark_arguments, benchmark
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Train and test several models on the same faces and '
        'write one table')
    add_benchmark_arguments(parser)
    return min(benchmark(parser.parse_args(), sys.argv[1:]), 1)


if __name__ == '__main__':
    run_script(main)
