# Copyright (c) orsa contributors. All rights reserved.
"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""
import argparse
import sys

from orsa.apis.testing import add_test_arguments
from orsa.studies.suite_command import add_suite_arguments, run_test
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(description='Test a checkpoint')
    add_test_arguments(parser)
    add_suite_arguments(parser)
    run_test(parser.parse_args(), ['test', *sys.argv[1:]])


if __name__ == '__main__':
    run_script(main)
