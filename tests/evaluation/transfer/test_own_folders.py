"""Folders of one's own as targets: which images are measured, what they are called, what is refused."""

import shutil

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from ctc_lightning.analysis import load_runs
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.evaluation.data_options import DataOptions
from ctc_lightning.evaluation.results import ResultsTable
from ctc_lightning.information.__main__ import information
from ctc_lightning.train import train
from ctc_lightning.transfer import transfer

SIZES = {"A": 6, "B": 8, "C": 10, "below/B": 12}
KNN = ["protocol=knn", "protocol.knn.neighbours=[1]"]
TINY = [
    "data=image_folder_small", "data.image_size=8", "data.batch_size=4", "data.num_workers=0", "model=ce",
    "network.backbone=cifar/resnet8", "trainer=cpu", "trainer.max_epochs=1", "callbacks.transfer_probe=null",
    "trainer.enable_progress_bar=false",
]  # fmt: skip


FOR_OTHERS = "is for targets that are other data sets, and these are the run's own images"


def configuration(name, *overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(name, list(overrides))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of two classes, so many images of each class in every split, and a run on the first of them."""
    place = tmp_path_factory.mktemp("photos")
    draw = torch.Generator().manual_seed(0)
    for name, count in SIZES.items():
        for split in ("train", "val", "test"):
            for number in range(2 * count):
                path = place / name / split / ("cat", "dog")[number % 2] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                level = torch.randint(100, (8, 8, 3), generator=draw) + 100 * (number % 2)
                Image.fromarray(level.to(torch.uint8).numpy()).save(path)
    cache = f"paths.cache={place / 'cache'}"
    train(configuration("train", *TINY, cache, f"data.root={place / 'A'}", f"paths.run_dir={place / 'run'}"))
    return place


@pytest.fixture
def run_dir(place, tmp_path):
    return shutil.copytree(place / "run", tmp_path / "run")


@pytest.fixture
def evaluate(place, run_dir):
    """A function: evaluate the run; the failures."""

    def evaluate(*overrides, program=transfer, name="transfer"):
        cache = f"paths.cache={place / 'cache'}"
        protocol = KNN if name == "transfer" else []
        return program(
            configuration(name, f"run={run_dir}", *protocol, cache, "data.num_workers=null", *overrides)
        )

    return evaluate


def table(run_dir):
    return ResultsTable(run_dir / "results.csv")


def measured(run_dir, protocol="knn"):
    """Target -> the number of test images, at the last epoch."""
    return {
        row.target: row.n
        for row in table(run_dir).rows()
        if (row.epoch, row.protocol, row.metric) == (1, protocol, "top1")
    }


@pytest.mark.parametrize("target", ["image_folder_small", "image_folder_small/class"])
def test_another_root_is_another_data_set(target, place, run_dir, evaluate):
    assert evaluate(f"target={target}", f"data.root={place / 'B'}") == []
    assert measured(run_dir) == {target.replace("small", "small:B"): 2 * SIZES["B"]}


@pytest.mark.parametrize("options", [[], ["data.root={place}/A"]], ids=["no root", "the same root"])
def test_the_runs_own_images_are_the_source(options, place, run_dir, evaluate):
    options = [option.format(place=place) for option in options]
    assert evaluate("target=image_folder_small", *options) == []
    assert measured(run_dir) == {"source": 2 * SIZES["A"]}


def test_a_root_that_does_not_exist_is_a_failure_of_its_own_name(place, run_dir, evaluate):
    (failure,) = evaluate("target=image_folder_small", f"data.root={place / 'nowhere'}")
    assert failure.target == "image_folder_small:nowhere"
    assert str(place / "nowhere") in failure.note
    assert measured(run_dir) == {}


def test_without_a_root_it_is_asked_for(run_dir, evaluate):
    (failure,) = evaluate("target=image_folder")
    assert "data.root is null; set it to the folder that holds the images" in failure.note


def test_no_folder_replaces_another(place, run_dir, evaluate):
    """Two of the same name are told apart by their images; a name of one's own is used as it is."""
    for name in ("B", "C", "below/B"):
        assert evaluate("target=image_folder_small", f"data.root={place / name}") == []
    assert evaluate("target=image_folder_small", f"data.root={place / 'B'}", "data.name=pets") == []
    last = [r for r in table(run_dir).rows() if (r.epoch, r.metric) == (1, "top1")]
    assert [(r.target, r.n) for r in last] == [
        ("image_folder_small:B", 16),
        ("image_folder_small:C", 20),
        ("image_folder_small:B", 24),
        ("pets", 16),
    ]
    frame = load_runs([run_dir])
    shown = frame[(frame["epoch"] == 1) & (frame["metric"] == "top1")].set_index("target")["n"].to_dict()
    first, second = last[0].images[:4], last[2].images[:4]
    assert shown == {
        f"image_folder_small:B [{first}]": 16,
        "image_folder_small:C": 20,
        f"image_folder_small:B [{second}]": 24,
        "pets": 16,
    }
    named = {path.name.partition("-")[0] for path in (run_dir / "features").iterdir()}
    assert named >= {"image_folder_small_B", "image_folder_small_C"}


def test_the_same_root_is_measured_once(place, run_dir, evaluate, monkeypatch):
    evaluate("target=image_folder_small", f"data.root={place / 'B'}")
    before = table(run_dir).all_rows()
    monkeypatch.setattr("ctc_lightning.evaluation.evaluator.measure", None)
    assert evaluate("target=image_folder_small", f"data.root={place / 'below' / '..' / 'B'}") == []
    assert table(run_dir).all_rows() == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["target=source", "data.num_test=4"], rf"data.num_test=4 {FOR_OTHERS} \(source\); leave it out"),
        (["target=own", "data.num_train=4"], f"data.num_train=4 {FOR_OTHERS}"),
        (["target=class", "data.root=B"], f"data.root=B {FOR_OTHERS}"),
        (["target=image_folder_small", "data.num_workers=1"], f"data.num_workers=1 {FOR_OTHERS}"),
        (["target=digits/digit", "data.root=B"], "data.root=B: digits/digit has no option root"),
        (["target=digits/digit", "source.root=B"], "source.root=B is for the run's own images, and all"),
        (["target=[digits,image_folder]", "data.name=pets"], "data.name=pets names one data set, and there"),
        (["target=digits", "data.name=source"], "data.name=source is a data set or a label of the run"),
    ],
)  # fmt: skip
def test_an_option_that_nothing_reads_is_refused(overrides, message, run_dir, evaluate):
    with pytest.raises(ValueError, match=message):
        evaluate(*overrides)
    assert not table(run_dir).path.exists()


def test_an_option_of_one_of_several_targets_is_used(place, run_dir, evaluate):
    options = ["data.num_test=40", "data.num_train=60", "data.num_val=30"]
    assert evaluate("target=[source,digits/digit]", *options) == []
    assert measured(run_dir) == {"source": 2 * SIZES["A"], "digits/digit": 40}


def test_fewer_images_do_not_replace_all_of_them(run_dir, evaluate):
    """And the numbers of all are current again when they are asked for again."""
    quick = {"program": information, "name": "information"}
    for options, count in (([], 12), (["max_images=6"], 6), ([], 12)):
        assert evaluate("estimator@ty=[]", *options, **quick) == []
        found = {row.n for row in table(run_dir).rows() if row.metric == "information"}
        assert found == {count}
    kept = {row.n for row in table(run_dir).all_rows() if row.metric == "information"}
    assert kept == {6, 12}


@pytest.mark.parametrize(
    ("given", "recorded", "other"),
    [
        ({}, {"root": "A"}, False),
        ({"root": "A"}, {"root": "A"}, False),
        ({"root": "A/."}, {"root": "A"}, False),
        ({"root": "B"}, {"root": "A"}, True),
        ({"num_test": 3}, {"root": "A", "num_test": None}, True),
        ({"num_test": 3}, {"root": "A", "num_test": 3}, False),
        ({"num_workers": 3, "cache_dir": "x"}, {"root": "A"}, False),
        ({"crop_share": 0.5}, {"root": "A"}, False),  # images in memory have none
        ({"root": "A", "name": "pets"}, {"root": "A"}, True),
    ],
    ids=str,
)
def test_which_options_ask_for_other_images(given, recorded, other):
    recorded = {"name": "image_folder_small", **recorded}
    assert DataOptions(given).ask_for_other_images(recorded) is other


def test_a_name_of_the_runs_own_choice_is_no_data_set():
    assert not DataOptions({"root": "B"}).ask_for_other_images({"name": "pets", "root": "A"})
