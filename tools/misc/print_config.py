# Copyright (c) orsa contributors. All rights reserved.
"""Print the complete config, with its bases and options merged.

  python tools/misc/print_config.py configs/orsanet_lite_rafdb.py \\
      --cfg-options optim_wrapper.rho=0.1
"""
from orsa.analysis.inputs import analysis_parser, read_config
from orsa.utils.command import run_script


def main():
    print(read_config(analysis_parser(__doc__).parse_args()).pretty_text)


if __name__ == '__main__':
    run_script(main)
