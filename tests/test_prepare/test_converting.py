# Copyright (c) orsa contributors. All rights reserved.
"""The converters' command line, without the published files."""
import sys

import pytest

from orsa.prepare import convert as converting
from orsa.prepare import weights as convert


def call(monkeypatch, run, *arguments, **options):
    monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
    converting.main(run, 'Convert.', **options)


def test_options_are_those_that_the_converter_takes(monkeypatch, capsys):
    seen = []

    def run(**kwargs):
        seen.append(kwargs)
        return 'the report'

    call(monkeypatch, run, 'in.pth', 'out.pth')
    assert seen.pop() == dict(src='in.pth', dst='out.pth')
    assert capsys.readouterr().out == 'the report\nwrote out.pth\n'
    call(monkeypatch, run, 'a', 'b', '--classes', 'x', 'y', with_classes=True)
    assert seen.pop() == dict(src='a', dst='b', classes=['x', 'y'])
    call(monkeypatch, run, 'a', 'b', with_decoder=True)
    assert seen.pop() == dict(src='a', dst='b', with_decoder=False)
    for option in ('--classes', '--with-decoder'):
        with pytest.raises(SystemExit) as raised:
            call(monkeypatch, run, 'a', 'b', option)
        assert raised.value.code == 2
    assert not seen


def test_a_segmentor_with_other_parts_is_refused(monkeypatch, tmp_path):
    from orsa.models import priors
    monkeypatch.setattr(priors, 'build_wrapped', lambda cfg: None)
    for name, answer in (('read_state', {}), ('convert_segface', ({}, [
            'backbone.1.weight'
    ])), ('fit', convert.Report(dropped=['backbone.1.weight', *'abcdef']))):
        monkeypatch.setattr(convert, name, lambda *a, answer=answer: answer)
    dst = tmp_path / 'out.pth'
    with pytest.raises(convert.ConversionError) as raised:
        converting.convert_segface('in.pth', str(dst), with_decoder=True)
    assert "'in.pth' has 6 entries" in str(raised.value)
    assert str(raised.value).endswith("['a', 'b', 'c', 'd']")
    assert not dst.exists()
