# Copyright (c) orsa contributors. All rights reserved.
"""Plot the results of a training and its test.

``python tools/analysis_tools/plot_results.py CONFIG WORK_DIR`` reads the log
of ``tools/train.py``, and ``metrics.json`` and ``predictions.json`` of
``tools/test.py --work-dir WORK_DIR``, and writes ``curves.png``,
``confusion_matrix.png`` and ``test_faces.png`` beside them.
"""
import argparse
import os.path as osp

from orsa.analysis.plots import plot_results
from orsa.utils.command import run_script
from orsa.utils.configs import add_cfg_options


def main():
    parser = argparse.ArgumentParser(
        description='Draw curves, confusion matrix and a grid of test faces')
    parser.add_argument('config', help='config file of the training')
    parser.add_argument('work_dir', help='its work dir')
    parser.add_argument(
        '--predictions', help='default: WORK_DIR/predictions.json')
    parser.add_argument(
        '--faces', type=int, default=56, help='faces in the grid')
    add_cfg_options(parser)
    args = parser.parse_args()
    predictions = args.predictions or osp.join(args.work_dir,
                                               'predictions.json')
    for path in plot_results(args.config, args.work_dir, predictions,
                             args.faces, args.cfg_options):
        print(f'wrote {path}')


if __name__ == '__main__':
    run_script(main)
