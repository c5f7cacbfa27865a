# Copyright (c) orsa contributors. All rights reserved.
"""Imports between the rooms of orsa/ run one way, as docs/design.md has it."""
import ast
from pathlib import Path
from typing import Iterator, Tuple

import orsa

ROOT = Path(orsa.__file__).parent
# each may import what is to its left, and nobody what is beside it in a pair
ORDER = [('version', 'registry'), ('utils', ), ('datasets', 'models'),
         ('visualization', 'evaluation'), ('engine', ), ('faces', ),
         ('deploy', ), ('apis', ), ('prepare', ), ('studies', ),
         ('analysis', ), ('web', ), ('cli', )]
LEVEL = {room: i for i, rooms in enumerate(ORDER) for room in rooms}


def imports(path: Path) -> Iterator[Tuple[str, ...]]:
    """Modules of orsa that a file imports, wherever in it, by their parts."""
    package = path.relative_to(ROOT.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split('.') for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) + 1 - node.level]
            base = [*(above if node.level else ()),
                    *(node.module or '').split('.')]  # yapf: disable
            names = [[*filter(None, base), a.name] for a in node.names]
        yield from (tuple(n) for n in names if n[0] == 'orsa' and len(n) > 1)


def test_imports_run_one_way():
    wrong = []
    for path in ROOT.rglob('*.py'):
        room = path.relative_to(ROOT).parts[0].removesuffix('.py')
        if '.mim' in path.parts or room.startswith('__'):
            continue
        for _, other, *_ in imports(path):
            if other != room and other in LEVEL and (LEVEL[other]
                                                     >= LEVEL[room]):
                wrong.append(f'{path.relative_to(ROOT)} imports {other}')
    assert not wrong


def test_every_room_is_in_the_order():
    rooms = {
        p.name.removesuffix('.py')
        for p in ROOT.iterdir()
        if (p / '__init__.py').is_file() or p.suffix == '.py'
    }
    assert {r for r in rooms if not r.startswith('_')} == set(LEVEL)
