"""Docstrings as Markdown: a formula where reference.yml has one, and signs that are no markup."""

import re
from pathlib import Path
from typing import Any

import yaml
from griffe import Extension, Object

REFERENCE = yaml.safe_load((Path(__file__).parent / "reference.yml").read_text(encoding="utf-8"))


class Docstrings(Extension):
    """Prepare every docstring once it has been read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Escape it, and put its formula behind its first paragraph."""
        if obj.docstring is None:
            return
        first, *rest = escaped(obj.docstring.value).split("\n\n", 1)
        formula = [f"$$\n{formula_of(obj.path)}\n$$"] if formula_of(obj.path) else []
        obj.docstring.value = "\n\n".join([first, *formula, *rest])


def formula_of(path: str) -> str | None:
    """The formula of a name, which may be defined in a module below the package that offers it."""
    for public, formula in REFERENCE["formulas"].items():
        package, _, name = public.rpartition(".")
        if path.startswith(f"{package}.") and path.endswith(f".{name}"):
            return formula.strip()
    return None


def escaped(text: str) -> str:
    """``k⁻_j``, ``n<m`` and a footnote's ``*`` as they are; code stays code."""
    paragraphs = re.split(r"(\n\s*\n)", text)
    return "".join(part if part.startswith("    ") else _escape_paragraph(part) for part in paragraphs)


def _escape_paragraph(text: str) -> str:
    parts = re.split(r"(``[^`]+``\*?|`[^`]+`\*?)", text)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = re.sub(r"\*$", r"\\*", part)
        else:
            plain = re.sub(r"(?<![\w\s*])_|_(?=\{)", r"\\_", re.sub(r"<(?=\S)", "&lt;", part))
            parts[place] = plain.replace("](", "]\\(")
    return "".join(parts)
