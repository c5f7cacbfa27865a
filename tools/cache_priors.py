# Copyright (c) orsa contributors. All rights reserved.
"""Compute frozen priors once: ``python tools/cache_priors.py CONFIG``."""
import argparse

from orsa.prepare.cache_priors import add_cache_arguments, cache_priors
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(
        description='Compute the frozen priors of every image once')
    add_cache_arguments(parser)
    cache_priors(parser.parse_args())


if __name__ == '__main__':
    run_script(main)
