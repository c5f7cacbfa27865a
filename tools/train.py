# Copyright (c) orsa contributors. All rights reserved.
"""Train a model: ``python tools/train.py CONFIG``."""
import argparse

from orsa.apis.training import add_train_arguments, train
from orsa.utils.command import run_script


def main():
    parser = argparse.ArgumentParser(description='Train a model')
    add_train_arguments(parser)
    train(parser.parse_args())


if __name__ == '__main__':
    run_script(main, training=True)
