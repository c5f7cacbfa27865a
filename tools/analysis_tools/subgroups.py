# Copyright (c) orsa contributors. All rights reserved.
"""Accuracy by subgroups of faces: grey, rotated, dark, occluded, ...

  python tools/test.py CONFIG CHECKPOINT --work-dir DIR
  python tools/analysis_tools/subgroups.py CONFIG DIR/predictions.json
"""  # noqa: E501

from orsa.analysis.subgroups import add_subgroup_arguments, run_subgroups
from orsa.utils.command import run_script


def main():
    run_subgroups(add_subgroup_arguments(__doc__).parse_args())


if __name__ == '__main__':
    run_script(main)
