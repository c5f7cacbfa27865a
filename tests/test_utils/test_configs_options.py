# Copyright (c) orsa contributors. All rights reserved.
"""Options need a value, and configs of the package a name that exists."""
import argparse

import pytest

from orsa.utils.config_scope import config_path
from orsa.utils.configs import add_cfg_options


def test_options_are_mmengines_and_need_a_value(capsys):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    assert parser.parse_args([]).cfg_options == {}
    args = parser.parse_args(['--cfg-options', 'a.b=1', 'c=[x,2]', 'd=e=f'])
    assert args.cfg_options == {'a.b': 1, 'c': ['x', 2], 'd': 'e=f'}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'a=1', 'b'])
    assert "'b' should be key=value" in capsys.readouterr().err


def test_configs_of_the_package_are_found_by_name():
    assert config_path('orsanet_demo.py').endswith('orsanet_demo.py')
    with pytest.raises(FileNotFoundError, match='orsanet_x.py'):
        config_path('orsanet_x.py')
