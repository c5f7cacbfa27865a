# Copyright (c) orsa contributors. All rights reserved.
"""Check a dataset: ``python tools/misc/verify_dataset.py NAME ROOT``.

Exits with 1 if it has errors that would spoil a training.
"""
import argparse

from orsa.prepare.verify import add_verify_arguments, run
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Count, read and compare all images of a dataset')
    add_verify_arguments(parser)
    report = run(parser.parse_args())
    print('\n'.join(report.lines()))
    return 1 if report.errors else 0


if __name__ == '__main__':
    run_script(main)
