"""report.html: everything in one file that needs no other: inline SVG, a little CSS, no scripts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    title: str, sections: Sequence[Mapping[str, Any]], failures_title: str = "", failures: str = ""
) -> str:
    """The whole document.

    Args:
        title: plain text.
        sections: title, anchor, origin and parts of each data set; a part has anchor, heading, folded, svg,
            caption, html and folded_table.
        failures_title: heading of the last section.
        failures: its HTML; "": there is no such section.
    """
    template = _TEMPLATES.get_template("page.html.jinja")
    return template.render(title=title, sections=sections, failures_title=failures_title, failures=failures)


def inline_svg(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prologue, no addresses, ids that no other figure has."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\sid="', f' id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg).strip()


def anchor(*words: str) -> str:
    """The words as an id."""
    return re.sub(r"[^\w-]+", "-", "-".join(filter(None, words)).lower())
