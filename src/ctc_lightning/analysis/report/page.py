"""report.html: everything in one file that needs no other: inline SVG, a little CSS, no scripts."""

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd; --paper: #fff; --card: #f6f6f4;
  --link: #0072B2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a5a5a5; --line: #3d3d3d; --paper: #191919; --card: #242424;
    --link: #56B4E9; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1240px; padding: 1.5rem; }
a { color: var(--link); }
h2 { border-bottom: 2px solid var(--line); margin-top: 3rem; }
h4 { margin-bottom: 0; } h4 + p { margin-top: .2rem; color: var(--soft); }
nav { background: var(--card); border-radius: .5rem; padding: .2rem 1rem; }
nav ul { columns: 20rem; }
.origin { color: var(--soft); }
figure { margin: 1.5rem 0; }
figure svg { background: #fff; border-radius: .5rem; width: 100%; height: auto; max-width: 1150px;
  display: block; }
figcaption { color: var(--soft); margin-top: .4rem; }
.table { overflow: auto; margin: .5rem 0 1.5rem; } .long { max-height: 40rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
thead { position: sticky; top: 0; background: var(--card); }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; }
th[scope=row], td:first-child { text-align: left; font-weight: 500; white-space: normal; min-width: 11rem; }
td { background: color-mix(in srgb, #D55E00 calc(.6 * var(--loss, 0%)), transparent); }
small { color: var(--soft); }
td[style] small { color: inherit; }
.failed li { overflow-wrap: anywhere; }
@media print { .long { max-height: none; } }
"""


class Picture(NamedTuple):
    """A figure: its SVG, its heading and one sentence that says how to read it."""

    name: str
    svg: str
    heading: str
    reading: str


class Block(NamedTuple):
    """Some HTML under a heading; folded: shown on request."""

    heading: str
    html: str
    folded: bool = False


class Section(NamedTuple):
    """What there is of one data set."""

    title: str
    origin: str
    parts: list[Picture | Block]


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole document.

    Args:
        title: plain text.
        sections: in order; a table of contents leads to each of their parts.
    """
    contents = "\n".join(
        f'<li><a href="#{_anchor(section.title)}">{escape(section.title)}</a><ul>'
        + "".join(
            f'<li><a href="#{_anchor(section.title, part.heading)}">{escape(part.heading)}</a></li>'
            for part in section.parts
        )
        + "</ul></li>"
        for section in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n<nav><ul>\n{contents}\n</ul></nav>\n"
        + "\n".join(map(_section, sections))
        + "\n</body>\n</html>\n"
    )


def inline_svg(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prologue, no addresses, ids that no other figure has."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\sid="', f' id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg).strip()


def _section(section: Section) -> str:
    parts = [_part(section.title, part) for part in section.parts]
    origin = f'<p class="origin">{escape(section.origin)}</p>' if section.origin else ""
    return "\n".join(
        [
            f'<section>\n<h2 id="{_anchor(section.title)}">{escape(section.title)}</h2>',
            origin,
            *parts,
            "</section>",
        ]
    )


def _part(section: str, part: Picture | Block) -> str:
    anchor, heading = _anchor(section, part.heading), escape(part.heading)
    if isinstance(part, Picture):
        figure = inline_svg(part.svg, part.name).replace("<svg", f'<svg role="img" aria-label="{heading}"', 1)
        return (
            f'<h3 id="{anchor}">{heading}</h3>\n<figure>{figure}\n'
            f"<figcaption>{escape(part.reading)}</figcaption></figure>"
        )
    if part.folded:
        return f'<details id="{anchor}"><summary>{heading}</summary>\n{part.html}\n</details>'
    return f'<h3 id="{anchor}">{heading}</h3>\n{part.html}'


def _anchor(*words: str) -> str:
    return re.sub(r"[^\w-]+", "-", "-".join(words).lower())
