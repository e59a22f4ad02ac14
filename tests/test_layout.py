"""The two rules of the layout: what belongs together has one name, and imports point one way."""

import ast
import re
import sys
import tomllib
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
# Each layer imports from those above it; a file from its own folder as well
LAYERS = [
    {"run_name", "checks", "atomic_write", "overrides"},
    {"batch", "classes", "digests", "distributed", "paths", "results", "training_lock"},
    {"key_encoder", "memory", "networks", "optim", "data", "metrics"},
    {"evaluation"},  # its scores are metrics
    {"estimators", "targets"},
    {"measuring"},
    {"contrast"},  # reads the keys that a memory hands out
    {"accumulation", "epoch_means", "stage"},
    {"module"},
    {"callbacks", "loggers"},
    {"analysis", "checkpoint", "checkpoint_io", "config_errors", "console", "strategy"},
    {"sweep"},
    {"train", "transfer", "report", "prepare"},
    {"information", "export"},  # of what transfer finds
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
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


def imported(path):
    """Names directly below ctc_lightning that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for package, name, *_ in (name.split(".") for name in names if "." in name):
            if package == "ctc_lightning" and name != "__version__":
                yield name


@pytest.mark.parametrize("file", FILES)
def test_imports_point_one_way(file):
    own = Path(file).parts[0].removesuffix(".py")
    if own == "__init__":
        assert not list(imported(FILES[file])), "importing the package shall cost nothing"
        return
    assert own in RANK, f"give {own} its layer in this file"
    wrong = {other for other in imported(FILES[file]) if other != own and RANK[other] >= RANK[own]}
    assert not wrong, f"{own} imports {wrong}, which the layers do not put above it: {LAYERS}"


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
