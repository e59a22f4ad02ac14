"""What mkdocs does not do by itself: MathML, notebooks as pages, and the list of the API's names.

Formulas become MathML when the site is built, so that no browser needs a script or a network to show them.
"""

import ast
import base64
import html
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COPIED = {"changelog.md": "CHANGELOG.md", "results/benchmarks.md": "benchmarks/README.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written elsewhere in the repository."""
    for page, source in COPIED.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pictures: dict[str, bytes] = {}
        text = notebook_page(json.loads(notebook.read_text(encoding="utf-8")), notebook.stem, pictures)
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the names of reference.yml where a page says ``<!-- reference: SECTION -->``."""
    return re.sub(
        r"^<!-- reference: (\w+) -->$", lambda match: listed(match[1]), markdown, flags=re.MULTILINE
    )


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Turn formulas into MathML, and names of the API in code into links to it."""
    html = re.sub(
        r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', as_mathml, html, flags=re.DOTALL
    )
    if page.file.src_uri.startswith("notebooks/"):
        return html
    links = {path.rpartition(".")[2]: path for path in names()}
    return re.sub(r"(?<!\">)<code>(\w+)</code>", lambda match: as_link(match, links), html)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that loads anything from elsewhere: it must be readable without a network."""
    if found := re.search(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^>]*>', output):
        raise PluginError(f"{page.file.src_uri} loads {found[0]}; put a copy into docs/assets.")
    return output


# ------------------------------------------------------------------------------------------ formulas


def as_mathml(match: re.Match[str]) -> str:
    """The MathML of one formula; `arithmatex` has marked and escaped it."""
    formula = html.unescape(match[2].strip())
    mathml = convert(formula, display="inline" if match[1] == "span" else "block")
    if "\\" in mathml:
        raise PluginError(f"no MathML for a command in {formula}; write it with commands of latex2mathml.")
    return mathml


# ----------------------------------------------------------------------------------------- reference


@cache
def reference() -> dict[str, Any]:
    """docs/reference.yml."""
    return yaml.safe_load((ROOT / "docs" / "reference.yml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """Dotted names of everything that the reference describes."""
    return [name for section in reference()["sections"].values() for name in spelled_out(section)]


def spelled_out(section: list[str]) -> Iterator[str]:
    """A section's names; ``package.*`` stands for the package's ``__all__``, in its order."""
    for entry in section:
        package, _, name = entry.rpartition(".")
        if name != "*":
            yield entry
            continue
        source = (ROOT / "src" / package.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
        (public,) = [
            ast.literal_eval(node.value)
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        yield from (f"{package}.{name}" for name in public)


def listed(section: str) -> str:
    """Markdown of one section: what mkdocstrings replaces by docstrings."""
    return "\n\n".join(f"::: {name}" for name in spelled_out(reference()["sections"][section]))


def as_link(match: re.Match[str], links: dict[str, str]) -> str:
    """A reference that mkdocs-autorefs resolves."""
    path = links.get(match[1])
    return f'<autoref identifier="{path}" optional>{match[0]}</autoref>' if path else match[0]


# ----------------------------------------------------------------------------------------- notebooks


def notebook_page(notebook: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """Markdown of an executed notebook; ``pictures`` takes in its images by file name."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts.extend(shown(output, name, pictures) for output in cell.get("outputs", []))
    return "\n\n".join(part for part in parts if part)


def shown(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """Markdown of one output, in the richest form that a page can show."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "image/png" in data:
        file = f"{name}_{len(pictures)}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![Figure {len(pictures)}]({file})"
    if "text/markdown" in data:
        return data["text/markdown"]
    if "text/html" in data:
        return re.sub(r"\n\s*\n|<style.*?</style>", "\n", data["text/html"], flags=re.DOTALL)
    text = "".join(output.get("text", "")) or data.get("text/plain", "")
    return f'<div class="output" markdown>\n\n```text\n{text.rstrip()}\n```\n\n</div>' if text else ""
