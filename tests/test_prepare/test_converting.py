# Copyright (c) orsa contributors. All rights reserved.
"""The converters' command line, without the published files."""
import sys

import pytest

from orsa.prepare import convert as converting
from orsa.prepare import weights as convert


def call(monkeypatch, run, *arguments):
    monkeypatch.setattr(sys, 'argv', ['tool', *arguments])
    converting.main(run, 'Convert.')


def test_options_are_those_that_the_converter_takes(monkeypatch, capsys):
    seen = []

    def run(src, dst):
        seen.append((src, dst))
        return 'the report'

    def with_classes(src, dst, classes=None):
        seen.append((src, dst, classes))

    def with_decoder(src, dst, with_decoder=False):
        seen.append((src, dst, with_decoder))

    call(monkeypatch, run, 'in.pth', 'out.pth')
    assert seen.pop() == ('in.pth', 'out.pth')
    assert capsys.readouterr().out == 'the report\nwrote out.pth\n'
    call(monkeypatch, with_classes, 'a', 'b', '--classes', 'x', 'y')
    assert seen.pop() == ('a', 'b', ['x', 'y'])
    call(monkeypatch, with_decoder, 'a', 'b')
    assert seen.pop() == ('a', 'b', False)
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
