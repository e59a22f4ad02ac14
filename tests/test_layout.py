"""The two rules of the layout: what belongs together has one name, and imports point one way."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ctc_lightning"
PARTS = {
    part: {path.stem for path in (PACKAGE / part).glob("*.py")} - {"__init__", "protocol"}
    for part in ("key_encoder", "memory", "contrast")
}
PICTURE = (ROOT / "docs" / "architecture.md").read_text().split("```text\n")[1].split("```")[0]
LAYERS = [re.split(" {3,}", line)[0].split() for line in PICTURE.splitlines()]
HEIGHT = {room: -line for line, layer in enumerate(LAYERS) for room in layer}
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("part", PARTS)
def test_every_choice_of_a_part_is_a_file_a_yaml_and_a_test(part):
    assert PARTS[part], f"{part}/ is empty"
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / part).glob("test_*.py")}
    assert {path.stem for path in (ROOT / "conf" / part).glob("*.yaml")} == PARTS[part]
    assert tests - {"protocol"} == PARTS[part]


@pytest.mark.parametrize(("part", "choice"), [(part, c) for part in PARTS for c in sorted(PARTS[part])])
def test_a_yaml_names_the_class_of_the_file_of_its_name(part, choice):
    target = OmegaConf.load(ROOT / "conf" / part / f"{choice}.yaml")["_target_"]
    assert get_class(target).__module__ == f"ctc_lightning.{part}.{choice}"


def module_of(file):
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__").removesuffix("__init__")


def room_of(file):
    """The folder of a file, or a file of the top folder by itself."""
    return str(Path(file).parent if Path(file).parent != Path() else Path(file).stem)


MODULES = {module_of(file): file for file in FILES}


def imported(file):
    """Files of the package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(FILES[file].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            found = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
            module = next((module for module in found if module in MODULES), None)
            if package == "ctc_lightning" and module:
                yield MODULES[module]


@pytest.fixture(scope="module")
def imports():
    """Files of the package -> those that they import."""
    return {file: set(imported(file)) - {file} for file in FILES}


def test_imports_point_one_way(imports):
    assert not imports["__init__.py"], "importing the package shall cost nothing"
    upwards = []
    for file in FILES.keys() - {"__init__.py"}:
        own = room_of(file)
        assert own in HEIGHT, f"give {own} its line in the picture of docs/architecture.md"
        # The face of a room shows what is in its inner rooms
        inner = f"{own}/" if Path(file).name == "__init__.py" else "nothing"
        others = {room for room in map(room_of, imports[file]) if room != own and not room.startswith(inner)}
        upwards += [f"{file} imports {room}" for room in others if HEIGHT[room] >= HEIGHT[own]]
    assert upwards == []


def test_no_files_import_each_other_in_a_circle(imports):
    list(TopologicalSorter(imports).static_order())


def test_every_package_that_is_imported_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in declared}
    distributions = packages_distributions()
    for file, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in (module.split(".")[0] for module in modules):
                if module != "ctc_lightning" and module not in sys.stdlib_module_names:
                    assert {name.lower() for name in distributions[module]} & names, f"{file}: {module}"
