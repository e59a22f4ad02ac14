"""The Markdown that this package writes, in HTML: paragraphs, lists of two levels, tables, bold and code."""

import re
from html import escape
from itertools import groupby

_LONG = 25  # rows, beyond which a table scrolls in a window of its own


def html_of_markdown(text: str) -> str:
    """Everything in it that could be taken for HTML is escaped."""
    parts = []
    for kind, group in groupby(text.splitlines(), key=_kind):
        lines = [line for line in group if line]
        if kind == "table":
            head, _, *rows = [
                [_spans(cell.strip()) for cell in line.strip()[1:-1].split("|")] for line in lines
            ]
            table = [
                "<thead><tr>" + "".join(f'<th scope="col">{cell}</th>' for cell in head) + "</tr></thead>"
            ]
            table += [
                f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
                for name, *row in rows
            ]
            parts.append(table_frame("\n".join(table), len(rows)))
        elif kind == "list":
            parts.append(f"<ul>{''.join(_items(lines))}</ul>")
        elif lines:
            parts.append(f"<p>{_spans(' '.join(lines))}</p>")
    return "\n".join(parts)


def _kind(line: str) -> str:
    return (
        "table"
        if line.startswith("|")
        else "list"
        if line.lstrip().startswith("- ")
        else "text"
        if line
        else ""
    )


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        text = f"<li>{_spans(line.lstrip()[2:])}</li>"
        if line.startswith(" ") and items:
            items[-1] = items[-1].removesuffix("</li>").removesuffix("</ul>")
            items[-1] += f"{text}</ul></li>" if "<ul>" in items[-1] else f"<ul>{text}</ul></li>"
        else:
            items.append(text)
    return items


def _spans(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def table_frame(rows: str, num_rows: int) -> str:
    """A table that scrolls sideways, and up and down if it is long."""
    return f'<div class="table{" long" if num_rows > _LONG else ""}"><table>\n{rows}\n</table></div>'
