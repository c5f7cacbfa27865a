# Copyright (c) orsa contributors. All rights reserved.
"""How well the priors notice what is in front of a face.

  python tools/analysis_tools/occlusion_awareness.py CONFIG [CHECKPOINT]

Measures `covered`, the fraction of a face that the parser does not take for
face, of the faces of test_dataloader. The area under the ROC curve tells the
really occluded ones of a list from the others, by type; the correlation
compares it with the true fraction under drawn occluders. Without a checkpoint
the priors are those that the config names.
"""
from orsa.analysis.occlusion_awareness import (add_awareness_arguments,
                                               run_awareness)
from orsa.utils.command import run_script


def main():
    run_awareness(add_awareness_arguments(__doc__).parse_args())


if __name__ == '__main__':
    run_script(main)
