"""Paths on the command line are text: Hydra reads the path that was typed."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ctc_lightning.cli.overrides import literal, quoted

NAMES = [
    "Photos (1)", "Photos(1)", "a,b", "[x]", "x[1]", "{x}", "it's", 'a"b', "it's\\", "#x", "~x", "Bücher",
    "写真", "2019", "1e3", "a=b", "a  b", " a", "a&b;c!", "<x>|^`", "/data/plain", "'a' b",
]  # fmt: skip
PATH_KEYS = [
    "data.root",
    "++data.root",
    "hydra.run.dir",
    "paths.root",
    "checkpoint",
    "run",
    "network.pretrained",
]


def value_of(argument):
    override = OverridesParser.create().parse_override(argument)
    return [*override.sweep_string_iterator()] if override.is_sweep_override() else override.value()


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_read_as_it_was_typed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "/" not in name:  # run=[x] could be a list; a folder of that name decides
        (tmp_path / name).mkdir()
    for key in PATH_KEYS:
        (argument,) = literal([f"{key}={name}"])
        assert argument.startswith(f"{key}=")
        assert value_of(argument) == name
        assert literal([argument]) == [argument], "a further rank reads it again"


@pytest.mark.parametrize("name", NAMES)
def test_quoted_text_is_read_back(name):
    assert value_of(f"key={quoted(name)}") == name
    if "\\" not in name:
        assert value_of(*literal([f'hydra.run.dir="{name}"'])) == name, "as Lightning starts a further rank"


@pytest.mark.parametrize(
    "argument",
    [
        "data.root=null", "network.pretrained=true", "data.root='a (1)'", "data.root=${oc.env:HOME}/x",
        "run=[a,b]", "model.temperature=0.1", "seed=0,1", "target=[own,digits]", "+data.x={a:1}",
        "~callbacks.last", "-m", "a[b", "model.weight=choice(1,2", "hydra.searchpath=[file:///x]",
    ],
)  # fmt: skip
def test_what_is_no_plain_path_is_left_to_hydra(argument):
    assert literal([argument]) == [argument]


def test_text_of_characters_that_hydra_does_not_know_is_quoted():
    assert literal(["method=Größe"]) == ["method='Größe'"]


@pytest.mark.parametrize("flag", ["-m", "hydra.mode=MULTIRUN", "sweep=demo"])
def test_in_a_sweep_commas_separate_paths(flag):
    values = value_of(literal([flag, "data.root=/a/Photos (1),2019,it's"])[1])
    assert values == [quoted("/a/Photos (1)"), quoted("2019"), quoted("it's")]
    for argument in ("data.root=choice(a,b)", "data.root='a,b',c", "data.root=a,b"):
        assert literal([flag, argument])[1] == argument


def test_a_list_of_paths_is_a_list_of_texts():
    assert value_of(*literal(["run=[Photos (1),it's]"])) == ["Photos (1)", "it's"]
