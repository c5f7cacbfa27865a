# Copyright (c) orsa contributors. All rights reserved.
"""Replay a stored step: ``python tools/replay_step.py CONFIG FAULT``."""
from orsa.analysis.replay import main
from orsa.utils.command import run_script

if __name__ == '__main__':
    run_script(main)
