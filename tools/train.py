# Copyright (c) orsa contributors. All rights reserved.
"""Train a model: ``python tools/train.py CONFIG``."""
import argparse

from orsa.apis.training import add_train_arguments, train

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Train a model')
    add_train_arguments(parser)
    train(parser.parse_args())
