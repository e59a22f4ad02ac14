"""What a digest holds of a protocol or estimator: class, options, and the version of the code."""

from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from ctc_lightning.evaluation.versioned import Versioned

CONF = Path(__file__).parents[1] / "conf"


def classes(node):
    """All classes that a YAML names."""
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        for value in node.values():
            yield from classes(value)


NAMED = sorted(
    {
        name
        for group in ("protocol", "estimator", "x")
        for path in (CONF / group).glob("*.yaml")
        for name in classes(OmegaConf.to_container(OmegaConf.load(path)))
    }
)


@pytest.mark.parametrize("name", NAMED)
def test_every_protocol_and_estimator_states_its_version(name):
    assert isinstance(vars(get_class(name))["version"], int)


class Part(Versioned):
    version = 1

    def __init__(self, size):
        self.size, self._cache = size, object()


class Whole(Part):
    version = 1

    def __init__(self, part):
        self.part = part


def test_a_description_is_plain_and_holds_parts_and_bases():
    assert Whole(Part(3)).description == {
        "class": "Whole",
        "versions": {"Whole": 1, "Part": 1, "Versioned": 1},
        "settings": {
            "part": {"class": "Part", "versions": {"Part": 1, "Versioned": 1}, "settings": {"size": 3}}
        },
    }


@pytest.mark.parametrize("changed", [Part, Whole])
def test_another_version_of_a_class_or_its_base_is_another_description(changed, monkeypatch):
    before = Whole(Part(3)).description
    monkeypatch.setattr(changed, "version", 2)
    assert Whole(Part(3)).description != before
