# Copyright (c) orsa contributors. All rights reserved.
"""Calibrate a model's scores on faces held out of training."""
import argparse

from orsa.analysis.calibrate import (add_calibrate_arguments, calibrate,
                                     describe)
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Fit a temperature, and the occluded fraction that the '
        'parser measures on unoccluded faces, on held-out faces')
    add_calibrate_arguments(parser)
    print(describe(calibrate(parser.parse_args())))


if __name__ == '__main__':
    run_script(main)
