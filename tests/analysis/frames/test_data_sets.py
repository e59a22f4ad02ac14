"""Runs count as seeds of one experiment only if they recorded the same images."""

import json

import pytest

from ctc_lightning.analysis import comparable, load_runs
from ctc_lightning.analysis.frames.data_sets import RunData, data_sets
from ctc_lightning.report import report

CURVES = {
    ("classifier", "source"): ([0.25, 0.6, 0.9, 0.99],) * 2,
    ("whitened", "hue"): ([0.5, 0.6, 0.7, 0.8],) * 2,
}
CATS, OWLS = ("cat", "dog"), ("cat", "dog", "owl")


def run(root="photos", digest=None, classes=CATS, train=40, settings="s", name="image_folder"):
    images = (("train", train),) if train else ()
    return RunData(name, root, digest, classes, images, settings)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run(digest="a"), run("elsewhere", digest="a")], ["image_folder"] * 2),
        ([run("A", "a"), run("B", "b")], ["image_folder:A", "image_folder:B"]),
        (
            [run(digest="a"), run(digest="b", train=41)],
            ["image_folder:photos (40 train images)", "image_folder:photos (41 train images)"],
        ),
        ([run(digest="a"), run(digest="b")], ["image_folder:photos (a)", "image_folder:photos (b)"]),
        ([run(digest="a"), run(digest="a", train=20, settings="t")], ["image_folder"] * 2),
        ([run("A", classes=CATS), run("B", classes=OWLS)], ["image_folder:A", "image_folder:B"]),
        ([run("A"), run("B", train=41)], ["image_folder:A", "image_folder:B"]),
        ([run("A"), run("B", train=41, settings="t")], ["image_folder"] * 2),
        ([run("A", "a"), run("B"), run("C", classes=(), train=0)], ["image_folder"] * 3),
        (
            [run("C"), run("A", "a"), run("B", "b")],
            ["image_folder:C", "image_folder:A", "image_folder:B"],
        ),
        ([run(name="glyphs", classes=()), run(name="digits", classes=())], ["glyphs", "digits"]),
    ],
    ids=[
        "the same images in two places",
        "two folders",
        "one image more",
        "as many other images",
        "a part of the same images",
        "older runs with other classes",
        "older runs with other numbers by the same settings",
        "older runs with other numbers by other settings",
        "an older run joins the only data set with its classes",
        "an older run joins none of two",
        "two names",
    ],
)
def test_what_counts_as_one_data_set(runs, expected):
    found = data_sets({str(number): of for number, of in enumerate(runs)})
    assert [found[str(number)] for number in range(len(runs))] == expected


def write_record(path, digest, classes, train=40):
    record = {"images": {"train": train, "val": 5, "test": 5}, "classes": list(classes), "digest": digest}
    (path / "provenance.json").write_text(json.dumps({"data": record}))


def test_two_folders_are_never_averaged(write_run, tmp_path, caplog, quick):
    for name, classes in {"A": CATS, "B": OWLS}.items():
        for seed in (0, 1):
            path = write_run(
                CURVES, f"runs/{name}/{seed}", seed=seed, data=f"image_folder\n  root: /photos/{name}"
            )
            write_record(path, name.lower() * 16, classes)
    frame = comparable(load_runs(tmp_path / "runs"))
    assert frame.groupby("data")["path"].nunique().to_dict() == {"image_folder:A": 2, "image_folder:B": 2}
    assert (
        "data=image_folder is several data sets, reported apart: image_folder:A, image_folder:B"
        in caplog.text
    )
    text = report([tmp_path / "runs"], tmp_path / "report")
    assert "image_folder:A\n" in text
    assert "image_folder:B\n" in text
    assert "mean±std of 2 seeds" in text
    assert (tmp_path / "report" / "trade_off_image_folder_B.png").is_file()


def test_seeds_of_generated_images_are_seeds(write_run, tmp_path):
    """Their images differ as the configuration says."""
    for seed in (0, 1):
        path = write_run(CURVES, seed=seed, data=f"glyphs\n  instance_seed: {seed}")
        write_record(path, None, ())
    frame = comparable(load_runs(tmp_path))
    assert set(frame["data"]) == {"glyphs"}
    assert set(frame["method"]) == {"ce"}


def test_what_a_logger_recorded_counts_where_there_is_no_provenance(write_run, tmp_path):
    for seed, digest in enumerate("aab"):
        config = f"images: {{digest: {digest}, num: {{train: 40}}}}\n"
        write_run(CURVES, seed=seed, config=config)
    assert load_runs(tmp_path).groupby("data")["seed"].nunique().to_dict() == {
        "glyphs (a)": 2,
        "glyphs (b)": 1,
    }


def test_method_and_seed_are_those_of_the_configuration(write_run):
    """Not of rows that a run wrote before it was resumed under another name."""
    path = write_run(CURVES, method="ce")
    (path / "config.yaml").write_text("data: {name: glyphs}\nmethod: mine\nseed: 3\n")
    frame = load_runs(path)
    assert set(frame["method"]) == {"mine"}
    assert set(frame["seed"]) == {3}
