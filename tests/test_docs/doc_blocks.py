# Copyright (c) orsa contributors. All rights reserved.
"""The code blocks of the documentation, and what is in them."""
import re
import shlex
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]
PAGES = ('README.md', 'configs/baselines/README.md', 'orsa/zoo/README.md',
         *sorted(
             p.relative_to(ROOT).as_posix()
             for p in (ROOT / 'docs').glob('*.md')))
# what a folder has to have to look like the checkout
LINKED = ('tools', 'configs', 'orsa', 'demo', 'docs', 'model-index.yml')
# pages whose Python needs what their commands write: they are run together
WHOLE = ('docs/deploy.md', 'docs/occlusion_benchmark.md')
# pages with a test of their own, which executes their Python
APART = ('docs/finetuning.md', 'docs/your_method.md')

_BLOCK = re.compile(
    r'(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n\s*)?'
    r'^```(?P<language>\w*)\n(?P<code>.*?)^```', re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r'[A-Z][A-Z_0-9]*=')
_PROGRAMS = ('bash', 'export', 'mkdocs', 'orsa', 'pip', 'pytest', 'python',
             'source')


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page (str): Its path from the repository's top.
        line (int): Of the page, from 1.
        language (str): '' where none is said.
        code (str): What is in it.
        reason (str, optional): Why it cannot be run, if the page says so.
    """
    page: str
    line: int
    language: str
    code: str
    reason: Optional[str]

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'

    @property
    def is_python(self) -> bool:
        return self.language == 'python'

    @property
    def commands(self) -> List[str]:
        """Its commands, one a line; none if it is a picture or an output."""
        if self.language not in ('', 'bash'):
            return []
        lines = re.sub(r'\\\n\s*', '', self.code)
        # a synopsis is broken without a backslash
        lines = re.sub(r'\n\s+(?=\[)', ' ', lines).splitlines()
        lines = [line for line in lines if line.split('#')[0].strip()]
        return lines if any(map(_is_command, lines)) else []


def _is_command(line: str) -> bool:
    words = line.split()
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    return bool(words) and words[0] in _PROGRAMS


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, from above."""
    text = (ROOT / page).read_text(encoding='utf-8')
    for m in _BLOCK.finditer(text):
        line = text[:m.start('code')].count('\n')
        yield Block(page, line, m['language'], m['code'], m['reason'])


def words_of(command: str) -> List[str]:
    """A command's words, without settings of the environment before it.

    A synopsis becomes one command that has all of its options:
    ``[--launcher pytorch|slurm]`` is ``--launcher pytorch``.
    """
    if re.search(r'\s\[', command):
        command = re.sub(r'[][]|\.\.\.', '', command)
        command = re.sub(r'(\w+)(?:\|\w+)+', r'\1', command)
    words = shlex.split(command, comments=True)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    # a number is meant
    return ['1' if w in ('N', 'NUM') else w for w in words]
