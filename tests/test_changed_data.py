"""Classes and images that change between two starts of a run are noticed by whoever goes on from it."""

import shutil

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.content_digest import READ
from ctc_lightning.evaluation.results import FAILED, ResultsTable
from ctc_lightning.train import train
from ctc_lightning.training.resume import changes
from ctc_lightning.transfer import transfer

CLASSES = ["cat", "dog", "owl"]
COUNTS = {"train": 24, "val": 6, "test": 9}
SHORT = [
    "data=image_folder_small",
    "data.image_size=8",
    "data.batch_size=12",
    "data.num_workers=0",
    "network=resnet8",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "callbacks.transfer_probe=null",
    "callbacks.milestones.also_at=[0,1]",
]
MODELS = {
    "ce": ["model=ce"],
    "queue": ["model=ctc_queue", "model.queue_size=12"],
    "bank": ["model=ctc_bank"],
}


def draw(path, number, seed=0):
    """An image of which the class's channel is dark."""
    level = np.random.default_rng([number, seed]).integers(64, 256, (8, 8, 3), dtype=np.uint8)
    level[..., number % 3] //= 8
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(level).save(path)


def train_here(place, *overrides):
    """In this process, in ``place/run``."""
    paths = [
        f"data.root={place / 'photos'}",
        f"data.cache_dir={place / 'cache'}",
        f"paths.run_dir={place / 'run'}",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        train(compose("train", overrides=[*SHORT, *paths, *overrides]))


def set_up(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        data = instantiate(compose("train", overrides=[*overrides]).data)
    data.setup()
    return data


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A function: the place of a run of two epochs of a model on three class folders, trained once."""
    places = {}

    def place(model):
        if model not in places:
            places[model] = tmp_path_factory.mktemp(model)
            for split, count in COUNTS.items():
                for number in range(count):
                    draw(places[model] / "photos" / split / CLASSES[number % 3] / f"{number:02d}.png", number)
            train_here(places[model], *MODELS[model])
        return places[model]

    return place


@pytest.fixture
def copied(begun, tmp_path):
    """A function: the same, to be changed; other places and times of the same files are no change."""

    def copy(model):
        for folder in ("photos", "run"):
            shutil.copytree(begun(model) / folder, tmp_path / folder)
        return tmp_path

    return copy


def first_epoch(place):
    return f"resume={place / 'run' / 'checkpoints' / 'epoch_001.ckpt'}"


def rename(photos, old="cat", new="zebra"):
    for split in COUNTS:
        (photos / split / old).rename(photos / split / new)


def add_image(photos):
    draw(photos / "train" / "cat" / "99.png", 99)


def remove_test_image(photos):
    (photos / "test" / "cat" / "00.png").unlink()


def redraw(photos):
    draw(photos / "train" / "cat" / "00.png", 0, seed=1)


def add_class(photos):
    for split in COUNTS:
        draw(photos / split / "zebra" / "0.png", 0)


RENAMED = r"class 0 was 'cat' and is 'dog' \('cat' is gone, 'zebra' is new\)"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename, RENAMED),
        (add_image, "there were 24 train images and are 25"),
        (remove_test_image, "there were 9 test images and are 8"),
        (redraw, "the images have other names or content than before"),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_a_run_is_not_resumed_on_other_data(model, change, said, copied):
    place = copied(model)
    change(place / "photos")
    fits = not (model == "bank" and change is add_image)
    remedy = (
        rf"was written with other data: {said}; .*allow_changes=true.*resume=never"
        if fits
        else rf"cannot be resumed, as {said}: a memory bank has one row for each training image, also with "
        "allow_changes=true; restore the images, set resume=never .*, or .* network.pretrained="
    )
    for options in [[]] if fits else [[], ["allow_changes=true"]]:
        with pytest.raises(ValueError, match=remedy) as refusal:
            train_here(place, *MODELS[model], first_epoch(place), *options)
        assert "shape" not in str(refusal.value)


@pytest.mark.parametrize("remedy", ["resume=never", "network.pretrained"])
def test_a_bank_with_an_image_more_is_trained_anew_as_its_refusal_says(remedy, copied):
    place = copied("bank")
    add_image(place / "photos")
    if remedy == "network.pretrained":
        (place / "run").rename(place / "former")
        remedy = f"network.pretrained={place / 'former' / 'checkpoints' / 'last.ckpt'}"
    train_here(place, *MODELS["bank"], remedy)
    last = torch.load(place / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["images"]["num"]["train"] == 25


def test_another_number_of_classes_never_fits(copied):
    place = copied("ce")
    add_class(place / "photos")
    said = r"classifies 3 classes and the data have 4, as there were 3 classes and are 4 \('zebra' is new\)"
    for allow in ("allow_changes=true", "allow_changes=false"):
        with pytest.raises(ValueError, match=said):
            train_here(place, *MODELS["ce"], first_epoch(place), allow)


def test_other_data_can_be_allowed_and_are_named(copied, caplog):
    place = copied("queue")
    add_image(place / "photos")
    train_here(place, *MODELS["queue"], first_epoch(place), "allow_changes=true")
    assert "Resuming with other data: there were 24 train images and are 25" in caplog.text
    last = torch.load(place / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["images"]["num"] == {"train": 25, "val": 6, "test": 9}
    rename(place / "photos")
    with pytest.raises(ValueError, match="has finished its 2 epochs with other data: class 0 was"):
        train_here(place, *MODELS["queue"], "resume=auto", "allow_changes=true")


def test_the_same_images_elsewhere_resume_and_so_does_a_checkpoint_that_has_no_record_of_them(copied):
    place = copied("bank")
    file = place / "run" / "checkpoints" / "epoch_001.ckpt"
    train_here(place, *MODELS["bank"], first_epoch(place))
    content = torch.load(file, weights_only=True)
    del content["images"], content["classes"]
    torch.save(content, file)
    redraw(place / "photos")
    train_here(place, *MODELS["bank"], first_epoch(place))


def test_the_digest_is_of_names_and_content_and_not_of_the_place(begun, copied):
    """Of both data modules; and few enough files are read that all of these are."""
    assert max(COUNTS.values()) <= READ
    place, known = copied("ce"), set()
    for change in (lambda photos: None, redraw, add_image, remove_test_image):
        change(place / "photos")
        found = set()
        for data in ("image_folder", "image_folder_small"):
            options = [f"data={data}", f"data.root={place / 'photos'}", f"data.cache_dir={place / 'cache'}"]
            found.add(set_up(*options, "data.batch_size=4", "data.num_workers=0").digest)
        assert len(found) == 1
        known |= found
    assert len(known) == 4
    before = torch.load(begun("ce") / "run" / "checkpoints" / "last.ckpt", weights_only=True)["images"]
    assert before["digest"] in known


# ------------------------------------------------------------------------------------------------- transfer


def evaluate(place, *target):
    own = [f"source.root={place / 'photos'}", f"source.cache_dir={place / 'cache'}"]
    overrides = [f"run={place / 'run'}", "protocol=knn", "paths.root=/nowhere", *(target or own)]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        transfer(compose("transfer", overrides))
    return ResultsTable(place / "run" / "results.csv").rows()


def test_a_renamed_class_is_refused_by_the_evaluation_of_each_checkpoint_that_has_the_old_name(copied):
    place = copied("ce")
    rename(place / "photos")
    rows = evaluate(place)
    assert {(row.epoch, row.metric) for row in rows} == {(epoch, FAILED) for epoch in range(3)}
    assert all("other classes than the network was trained on: class 0 was 'cat'" in row.note for row in rows)
    train_here(place, *MODELS["ce"], first_epoch(place), "allow_changes=true")
    rows = evaluate(place)
    assert {row.epoch for row in rows if row.metric == FAILED} == {0, 1}
    assert {row.epoch for row in rows if row.metric == "top1"} == {2}


@pytest.mark.parametrize(
    ("change", "said"),
    [(add_image, "there were 24 train images and are 25"), (redraw, "other names or content")],
)
def test_images_that_changed_are_refused_by_the_evaluation(change, said, copied):
    """A test split that was held out of them may hold images that were trained on."""
    place = copied("ce")
    change(place / "photos")
    rows = evaluate(place)
    assert {(row.epoch, row.metric) for row in rows} == {(epoch, FAILED) for epoch in range(3)}
    assert all("has changed since the network was trained: " in row.note for row in rows)
    assert all(said in row.note for row in rows)


def test_changed_images_can_be_measured_as_another_data_set(copied):
    place = copied("ce")
    rename(place / "photos")
    assert "by target=DATA_SET data.root=FOLDER data.name=NAME." in evaluate(place)[0].note
    options = [f"data.root={place / 'photos'}", f"data.cache_dir={place / 'cache'}", "data.name=new"]
    rows = evaluate(place, "target=image_folder_small", *options)
    assert {row.epoch for row in rows if (row.target, row.metric) == ("new", "top1")} == {0, 1, 2}


def test_classes_in_another_order_are_matched_by_name(copied):
    place = copied("ce")
    expected = {(row.epoch, row.metric): row.value for row in evaluate(place)}
    for epoch in (1, 2):
        file = place / "run" / "checkpoints" / f"epoch_{epoch:03d}.ckpt"
        content = torch.load(file, weights_only=True)
        content["classes"] = ["owl", "cat", "dog"]
        for name in ("weight", "bias"):
            content["state_dict"][f"network.classifier.{name}"] = content["state_dict"][
                f"network.classifier.{name}"
            ][[2, 0, 1]]
        torch.save(content, file)
    (place / "run" / "results.csv").unlink()
    assert {(row.epoch, row.metric): row.value for row in evaluate(place)} == pytest.approx(expected)


@pytest.mark.parametrize("option", ["worker_timeout", "max_pixels", "resplit"])
def test_an_option_that_an_older_version_lacked_changes_nothing(option):
    assert changes({"data": {"name": "own"}}, {"data": {"name": "own", option: 1}}) == []
