"""What README and docs show is true: commands compose, options exist, examples run."""

import math
import re
import shlex
import shutil
import sys
import tomllib
from argparse import ArgumentParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.cli.errors import refuse_unused, users_mistakes
from ctc_lightning.cli.overrides import literal
from ctc_lightning.information.estimators import Pairs
from ctc_lightning.train import train

ROOT = Path(__file__).parents[1]
GENERATED = ("trade_off", "calibration")  # reports, written by programs
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", ROOT / "CHANGELOG.md"]
PAGES += [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in GENERATED]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
HYDRA = ("train", "transfer", "information", "export", "predict")
OWN_PARTS = [
    "hydra.searchpath=[file://my_conf]",
    "contrast@model.stages.contrast.contrast=margin_nce",
    "memory@model.stages.contrast.memory=previous_batch",
    "protocol@callbacks.transfer_probe.protocols=nearest_mean",
    "logger=print",
]
TINY = ["debug=fast", "data=digits", "num_threads=1", "trainer.enable_progress_bar=false"]


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    sketch: bool

    @property
    def file(self):
        """The file that its first line names, or None."""
        named = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return named and named[1]


def blocks(page, language):
    pattern = r"^(<!-- sketch -->\n)?```(\w+)\n(.*?)^```$"
    found = re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(name, text, bool(sketch)) for sketch, name, text in found if name == language]


def inline(page):
    """Code within a line of text."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def commands(page):
    lines = "\n".join(block.text for block in blocks(page, "bash")).replace("\\\n", " ").splitlines()
    lines += [code for code in inline(page) if re.match(r"(python|pip|make|ctc-\w+) \S", code)]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def set_up(folder, patch):
    """Work in a folder with the files that extend.md shows, importable and on Hydra's search path."""
    for language in ("python", "yaml"):
        for block in blocks(ROOT / "docs" / "extend.md", language):
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    patch.chdir(folder)
    patch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "my_parts"]:
        patch.delitem(sys.modules, name)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    set_up(tmp_path, monkeypatch)
    return tmp_path


def composed(config, *overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(config, list(overrides), return_hydra_config=True)


# ---------------------------------------------------------------------------------------- commands


def first_job(word):
    """An override of a sweep with the first of its values; another one as it is."""
    (override,) = OverridesParser.create().parse_overrides([word])
    if not override.is_sweep_override():
        return word
    return f"{override.input_line.partition('=')[0]}={next(override.sweep_string_iterator())}"


def check_program(name, words, monkeypatch):
    """Compose as ``--cfg job`` would, or parse as the program does."""
    module = f"ctc_lightning.{name}"
    found = find_spec(module)
    if not words:  # a program that a text names
        assert found, f"there is no {module}"
        return
    if name not in HYDRA:
        main = import_module(f"{module}.__main__" if found.submodule_search_locations else module)
        parse = ArgumentParser.parse_args

        def parse_only(parser, *arguments):
            parse(parser, *arguments)
            raise InterruptedError

        monkeypatch.setattr(ArgumentParser, "parse_args", parse_only)
        with pytest.raises(InterruptedError):
            main.main(words)
        return
    overrides = [first_job(word) for word in literal(words) if word not in ("-m", "--help")]
    cfg = composed(name, *overrides)
    if name == "train":
        refuse_unused(cfg, overrides)


def check_command(words, monkeypatch):
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["pip", "install", *rest]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(re.findall(r"\w+", "".join(re.findall(r"\[(.*?)\]", " ".join(rest))))) <= set(extras)
        case ["python", "-m", module, *rest] | ["-m", module, *rest]:
            check_program(module.removeprefix("ctc_lightning."), rest, monkeypatch)
        case ["python", file, *_]:
            assert (ROOT / file).is_file()
        case ["srun" | "torchrun", *rest]:
            start = next(place for place, word in enumerate(rest) if not word.startswith("--"))
            check_command(rest[start:], monkeypatch)
        case [program, *rest] if program.startswith("ctc-"):
            check_program(program.removeprefix("ctc-"), rest, monkeypatch)
        case _:
            pytest.fail(f"not known here: {shlex.join(words)}")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_is_accepted(page, workplace, monkeypatch):
    for words in commands(page):
        with monkeypatch.context() as patch:
            check_command(words, patch)


def test_commands_are_found_and_wrong_ones_are_not_accepted(workplace, monkeypatch):
    assert sum(len(commands(page)) for page in PAGES) > 80
    for wrong in (
        "train model=no_such",
        "train no_such=1",
        "report --no_such",
        "train model=ce model.weight=3",
    ):
        with pytest.raises((*users_mistakes(), SystemExit)), monkeypatch.context() as patch:
            check_command(["python", "-m", *f"ctc_lightning.{wrong}".split()], patch)


# ----------------------------------------------------------------------------------------- options

# Compositions that together have every option that is written as `NAME=VALUE` within a line
CONTEXTS = [(program,) for program in HYDRA]
CONTEXTS += [
    ("train", option)
    for option in ("model=ctc_bank", "model=ctc_two_stage", "data=image_folder", "data=hugging_face")
]
CONTEXTS += [
    ("train", option) for option in ("hydra/launcher=slurm", "logger=wandb", "experiment=ctc_finetune")
]


def keys(node, prefix=""):
    for name, value in (node or {}).items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def known():
    plain = (OmegaConf.to_container(composed(*context)) for context in CONTEXTS)
    return {key for config in plain for key in keys(config)}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_option_exists(page, known):
    found = (re.fullmatch(r"([a-z][\w./]*)(@[\w.]+)?=([^\s(]*)", code) for code in inline(page))
    for key, place, value in (match.groups() for match in found if match):
        group = config_dir() / key
        if not group.is_dir() or (key in known and value == "null"):
            assert key in known, f"{key}={value}"
            continue
        if key.startswith("hydra/") or not value or value.isupper():
            continue
        for choice in value.strip("[]").split(","):
            assert (group / f"{choice}.yaml").is_file(), f"{key}={choice}"
        assert place is None or place[1:] in known, place


# ---------------------------------------------------------------------------------------- examples


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A run with the loss, memory, protocol and logger of extend.md."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch, initialize_config_dir(str(config_dir()), version_base="1.3"):
        set_up(folder, patch)
        cfg = compose("train", [*TINY, *OWN_PARTS, f"paths.run_dir={folder}/run"])
        train(cfg)
    return folder / "run"


@pytest.fixture
def runs(demo, workplace):
    """The working directory with that run as ``runs/demo``."""
    return shutil.copytree(demo, workplace / "runs" / "demo")


def test_ones_own_parts_train_together(runs):
    assert set(pd.read_csv(runs / "results.csv").protocol) == {"classifier", "nearest_mean"}
    state = torch.load(runs / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["stages.contrast.memory.index_K"].max() >= 0, "the memory has been written"
    assert OmegaConf.load(runs / "config.yaml").model.stages.contrast.contrast.margin == 0.1


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_example_runs(page, runs):
    namespace = {"__name__": "example"}
    for block in blocks(page, "python"):
        if not block.sketch:
            exec(compile(block.text, str(page), "exec"), namespace)


@pytest.mark.parametrize(("name", "targets"), [("stripes", {"width"}), ("parts", {"supplier"})])
def test_ones_own_data_sets_load(name, targets, workplace):
    for number, split in enumerate(["train"] * 8 + ["test"] * 4):
        kind, supplier = ("bolt", "nut")[number % 2], ("acme", "best")[number // 2 % 2]
        file = workplace / "images" / "parts" / split / kind / f"{supplier}_{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 32), (number, 0, 0)).save(file)
    options = [
        "data.root=images",
        "data.batch_size=4",
        "data.num_workers=0",
        "data.image_size=32",
        "data.val_share=0.5",
    ]
    own = [OWN_PARTS[0], f"data={name}", "seed=0", f"paths.cache={workplace}/cache"]
    data = instantiate(composed("train", *own, *(options if name == "parts" else [])).data)
    data.setup()
    assert set(data.targets) == targets
    batch = next(data.memory_batches(0, torch.device("cpu")))
    assert set(batch.label.tolist()) == {0, 1}


def test_ones_own_estimator_is_chosen_and_right(workplace):
    cfg = composed("information", OWN_PARTS[0], "estimator@xt=correlation")
    x_NC = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    y_NE = x_NC + torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1))
    pairs = Pairs(x_NC, y_NE)
    estimate = instantiate(cfg.xt.correlation).fit(pairs, seed=0)(pairs)
    assert estimate.value == pytest.approx(math.log(2) / 2, abs=0.02)


# ------------------------------------------------------------------------------------------ README


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / link).exists(), link
