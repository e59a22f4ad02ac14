"""The public names: documented with examples, and importing the package loads nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ctc_lightning

DOCS = Path(__file__).parents[1] / "docs" / "api"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", [name for name in ctc_lightning.__all__ if name != "__version__"])
def test_every_public_name_is_listed_and_has_an_example(name):
    assert getattr(ctc_lightning, name).__name__ == name
    assert f"`{name}`" in (DOCS / "public.md").read_text()
    examples = "\n".join(blocks("public.md"))
    assert re.search(rf"\b{name}\b", examples)


def test_names_that_are_not_public_do_not_exist():
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = ctc_lightning.Nonsense
    assert set(ctc_lightning.__all__) <= set(dir(ctc_lightning))


def test_type_checkers_see_the_same_names_in_the_same_modules():
    stub = ast.parse(Path(ctc_lightning.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)  # re-exported
    shown = {alias.name: node.module for node in imports for alias in node.names}
    assert shown == {name: f"ctc_lightning.{module}" for name, module in ctc_lightning._MODULE_OF.items()}


def test_importing_the_package_imports_no_other():
    code = "import sys; before = set(sys.modules); import ctc_lightning; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) == {"ctc_lightning"}


def test_the_parts_alone_take_at_most_20_lines_and_no_stage():
    examples = [block for block in blocks("parts.md") if "MomentumEncoder(" in block]
    assert len(examples) == 2
    for example in examples:
        assert len([line for line in example.splitlines() if line.strip()]) <= 20 + example.count("import ")
        assert not re.search("Stage|hydra|preset", example)
