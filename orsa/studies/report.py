# Copyright (c) orsa contributors. All rights reserved.
"""A report of results: one description for Markdown and for an HTML page."""
import base64
import os.path as osp
from pathlib import Path
from typing import List, NamedTuple, Sequence, Union

from orsa.utils.fileio import dump_json, write_text
from orsa.utils.tables import Table


class Section(NamedTuple):
    """A part of a report: heading, paragraph, and a table or an image file."""
    title: str = ''
    text: str = ''
    content: Union[Table, str] = ''


def markdown(title: str, sections: Sequence[Section]) -> str:
    """A report in Markdown, with images linked as neighbours."""
    blocks = [f'# {title}'] if title else []
    for section in sections:
        blocks += [f'## {section.title}'] if section.title else []
        blocks += [section.text] if section.text else []
        if isinstance(section.content, Table):
            blocks.append(section.content.markdown())
        elif section.content:
            name = osp.basename(section.content)
            blocks.append(f'![{section.title}]({name})')
    return '\n\n'.join(blocks) + '\n'


def html(title: str, headline: Sequence[tuple],
         sections: Sequence[Section]) -> str:
    """A report as one HTML page that needs no other file.

    Args:
        title (str): Its heading.
        headline (Sequence[tuple[str, str]]): Name and value of the results
            that stand first.
        sections (Sequence[Section]): The page.
    """
    from jinja2 import Environment  # here: few commands write a page

    def image(path: str) -> str:
        return base64.b64encode(Path(path).read_bytes()).decode()

    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters['base64'] = image
    template = environment.from_string(
        Path(__file__).with_name('report.html').read_text(encoding='utf-8'))
    return template.render(
        title=title, headline=headline, sections=sections) + '\n'


def write_report(base: str, content: dict, table: Table, title: str,
                 sections: Sequence[Section]) -> List[str]:
    """Write a report as JSON, CSV and Markdown, and return the files.

    Args:
        base (str): Path of the files without their suffix.
        content (dict): Of the JSON.
        table (Table): Of the CSV.
        title (str): Heading of the Markdown; empty for none.
        sections (Sequence[Section]): Of the Markdown.
    """
    dump_json(content, base + '.json')
    table.write_csv(base + '.csv')
    write_text(base + '.md', markdown(title, sections))
    return [base + suffix for suffix in ('.json', '.csv', '.md')]
