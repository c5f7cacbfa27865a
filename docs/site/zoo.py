# Copyright (c) orsa contributors. All rights reserved.
"""The table of models in ``docs/model_zoo.md``, from ``model-index.yml``.

  python docs/site/zoo.py    # writes it anew
"""
import os.path as osp
import re
from pathlib import Path
from typing import List, Optional

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'model_zoo.md'
# what stands between the two lines is made here
PART = re.compile(r'(?<=<!-- models -->\n).*?(?=<!-- /models -->)', re.DOTALL)


def rows() -> List[dict]:
    """The models of ``model-index.yml`` and of what it imports."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [
        row for path in index['Import']
        for row in yaml.safe_load((ROOT / path).read_text())['Models']
    ]


def _figure(row: dict, kind: str) -> str:
    values = [(r['Dataset'], r['Metrics'].get(f'Accuracy ({kind})'))
              for r in row['Results'] or ()]
    return ', '.join(f'{v} ({d})' for d, v in values if v is not None)


def _count(value: Optional[float], unit: float, digits: int) -> str:
    return '' if value is None else f'{value / unit:.{digits}f}'


def tables() -> str:
    """The models, then what the licences' letters stand for."""
    licences: List[str] = []
    lines = [
        '| config | trained on | M parameters | GMAC | published | here | '
        'licence |', '| --- | --- | --- | --- | --- | --- | --- |'
    ]
    for row in rows():
        data = row['Metadata']
        licence = data['Weights Licence']
        if licence not in licences:
            licences.append(licence)
        cells = (f"[{row['Name']}]({osp.join('..', row['Config'])})",
                 data['Training Data'], _count(data['Parameters'], 1e6, 2),
                 _count(data.get('FLOPs'), 1e9,
                        2), _figure(row,
                                    'published'), _figure(row, 'reproduced'),
                 chr(ord('a') + licences.index(licence)))
        lines.append('| ' + ' | '.join(cells) + ' |')
    lines += [
        '', '| licence | of the files that the config starts from |',
        '| --- | --- |'
    ]
    lines += [
        f"| {chr(ord('a') + i)} | {licence} |"
        for i, licence in enumerate(licences)
    ]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    PAGE.write_text(PART.sub(lambda _: tables(), PAGE.read_text()))
