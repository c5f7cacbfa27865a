# Copyright (c) orsa contributors. All rights reserved.
"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""
import argparse

from orsa.apis.testing import add_test_arguments, test
from orsa.studies.suite_command import add_suite_arguments, run_suite
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(description='Test a checkpoint')
    add_test_arguments(parser)
    add_suite_arguments(parser)
    args = parser.parse_args()
    run_suite(args) if args.occlusion_suite else test(args)


if __name__ == '__main__':
    run_script(main)
