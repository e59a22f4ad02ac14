"""``python -m ctc_lightning.data``: the table, one data set, a download, and mistakes."""

import re

import pytest

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import __main__ as program
from ctc_lightning.data.catalogue import METRICS, collections, presence
from ctc_lightning.data.collection import SPLITS

# Published figures, from the data sets' papers and pages
PUBLISHED = {
    "cifar100": ("50000", "10000", "100, 20", "top-1"),
    "food101": ("75750", "25250", "101", "top-1"),
    "dtd": ("1880", "1880", "1880", "47", "top-1"),
    "fgvc_aircraft": ("3334", "3333", "3333", "100", "mean per-class"),
    "flowers102": ("1020", "1020", "6149", "102", "mean per-class"),
    "oxford_pets": ("3680", "3669", "37", "mean per-class"),
    "voc2007": ("2501", "2510", "4952", "20", "11-point mAP"),
    "sun397": ("19850", "19850", "397", "top-1"),
    "stanford_cars": ("8144", "8041", "196", "top-1"),
    "eurosat": ("18900", "8100", "10", "top-1"),
    "imagenet": ("1281167", "50000", "1000", "top-1"),
    "cinic10": ("90000", "90000", "90000", "10", "top-1"),
}


@pytest.fixture
def told(capsys):
    """A function of the command line: exit code, output, errors."""

    def run(*arguments):
        code = program.main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def row(text, name):
    """The cells of one line of the table."""
    (line,) = [line for line in text.splitlines() if re.match(rf"{name}\s", line)]
    return [cell for cell in re.split(r"\s{2,}", line) if cell]


def test_every_data_set_from_files_has_a_line_and_nothing_is_here_yet(told, tmp_path):
    code, text, _ = told("--root", tmp_path)
    assert code == 0
    elsewhere = {"glyphs", "digits", "image_folder", "image_folder_small", "imagenet_stream", "hugging_face"}
    published = {path.stem for path in (config_dir() / "data").glob("*.yaml")} - elsewhere
    assert len(published) >= 20
    for name in published:
        assert row(text, name)[-1] == "no", name


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_states_the_published_counts_classes_and_metric(name, told, tmp_path):
    _, text, _ = told("--root", tmp_path)
    assert tuple(row(text, name)[1:-1]) == PUBLISHED[name]


def test_what_is_missing_comes_with_how_to_get_it(told, tmp_path):
    _, text, _ = told("--root", tmp_path)
    missing = text.partition("Not here, or not whole:")[2]
    for name, collection in collections().items():
        if presence(collection, tmp_path).missing:
            assert f"  {name}: {collection.how_to_get}" in missing


def test_what_is_here_whole_or_in_part_is_seen_in_its_folder_or_in_the_root(told, tmp_path):
    for path in collections()["dtd"].needs:
        (tmp_path / "dtd" / path).mkdir(parents=True)
    (tmp_path / "flowers102" / "flowers-102" / "jpg").mkdir(parents=True)
    for path in collections()["svhn"].needs:
        (tmp_path / path).touch()
    _, text, _ = told("--root", tmp_path)
    assert row(text, "dtd")[-1] == "yes"
    assert row(text, "flowers102")[-1] == "in part"
    assert row(text, "svhn")[-1] == "yes"


def test_one_data_set_in_full(told, tmp_path):
    code, text, _ = told("--root", tmp_path, "show", "dtd", "cifar100")
    assert code == 0
    assert "Describable Textures" in text or "DTD" in text
    assert str(tmp_path / "dtd") in text
    assert "fine (100), coarse (20)" in text
    assert collections()["cifar100"].how_to_get in text


def test_a_download_goes_to_the_folder_of_its_name_and_what_is_here_is_left_alone(
    told, tmp_path, monkeypatch
):
    dtd = type(collections()["dtd"])
    asked = []
    monkeypatch.setattr(dtd, "download", lambda self, folder: asked.append(folder))
    code, text, _ = told("--root", tmp_path, "get", "dtd")
    assert (code, asked) == (0, [tmp_path / "dtd"])
    assert str(tmp_path / "dtd") in text
    for path in dtd().needs:
        (tmp_path / "dtd" / path).mkdir(parents=True)
    assert "already" in told("get", "dtd", "--root", tmp_path)[1], "before or after the command"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("show", "cifar1000"), "cifar1000"),
        (("get", "stanford_cars"), "Stanford Cars"),  # its publishers' host is gone
        (("get", "birdsnap"), "Birdsnap"),
    ],
)
def test_mistakes_are_one_sentence(arguments, part, told, tmp_path):
    code, text, errors = told("--root", tmp_path, *arguments)
    assert (code, text) == (2, "")
    assert errors.count("\n") == 1
    assert part in errors


def test_every_collection_says_all_that_the_table_shows():
    for name, collection in collections().items():
        assert collection.title, name
        assert collection.how_to_get, name
        assert collection.metric in METRICS, name
        assert set(collection.counts) <= set(SPLITS), name
        assert collection.num_classes, name
