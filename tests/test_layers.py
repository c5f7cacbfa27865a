# Copyright (c) orsa contributors. All rights reserved.
"""Imports run one way between packages, and in no circle between files."""
import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Iterator, Tuple

import orsa

ROOT = Path(orsa.__file__).parent
# each may import what is to its left, and nobody what is beside it in a pair
ORDER = [('version', 'registry'), ('utils', ), ('datasets', 'models'),
         ('visualization', 'evaluation'), ('engine', ), ('faces', ),
         ('deploy', ), ('apis', ), ('prepare', ), ('studies', ),
         ('analysis', ), ('web', ), ('cli', )]
LEVEL = {
    package: i
    for i, packages in enumerate(ORDER)
    for package in packages
}


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
        package = path.relative_to(ROOT).parts[0].removesuffix('.py')
        if '.mim' in path.parts or package.startswith('__'):
            continue
        for _, other, *_ in imports(path):
            if other != package and other in LEVEL and (LEVEL[other]
                                                        >= LEVEL[package]):
                wrong.append(f'{path.relative_to(ROOT)} imports {other}')
    assert not wrong


def test_every_package_is_in_the_order():
    packages = {
        p.name.removesuffix('.py')
        for p in ROOT.iterdir()
        if (p / '__init__.py').is_file() or p.suffix == '.py'
    }
    assert {r for r in packages if not r.startswith('_')} == set(LEVEL)


def test_no_files_import_each_other():
    files = {
        path.relative_to(ROOT.parent).with_suffix('').parts: path
        for path in ROOT.rglob('*.py')
        if '.mim' not in path.parts and path.stem != '__init__'
    }
    graph = {
        name: {
            known
            for found in imports(path)
            for known in (found, found[:-1]) if known in files
        } - {name}
        for name, path in files.items()
    }
    # a topological order exists if and only if there is no circle
    TopologicalSorter(graph).prepare()
