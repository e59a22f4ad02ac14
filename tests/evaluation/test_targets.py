"""Transfer targets by name: found, refused in one sentence, and shown as the network expects."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data import Digits, Glyphs, ImageSet
from ctc_lightning.data.network_input import NetworkInput
from ctc_lightning.data.sets.cifar10 import CIFAR10
from ctc_lightning.evaluation.data_options import DataOptions, data_config
from ctc_lightning.evaluation.targets import Target, expand, is_external, open_target

RGB32 = NetworkInput((3, 32, 32), (0.5, 0.25, 0.125), (0.2, 0.3, 0.4))
SMALL = {"num_train": 60, "num_val": 30, "num_test": 40}
GLYPH_LABELS = ["fine", "new", "hue", "position", "texture", "scale"]
DATA_SETS = sorted(path.stem for path in (config_dir() / "data").glob("*.yaml"))


@pytest.fixture(scope="module")
def digits():
    data = Digits(**SMALL, batch_size=20)
    data.setup()
    return data


@pytest.fixture(scope="module")
def glyphs():
    data = Glyphs(num_train=64, num_val=32, num_test=48)
    data.setup()
    return data


def suite(name):
    """The lines of the file, without a YAML reader."""
    lines = (config_dir() / "suite" / f"{name}.yaml").read_text().splitlines()
    return [line.removeprefix("  - ") for line in lines if line.startswith("  - ")]


# -------------------------------------------------------------------------------------------- which are meant


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (None, GLYPH_LABELS),
        ("own", GLYPH_LABELS),
        ("hue", ["hue"]),
        ("glyphs/hue", ["hue"]),
        (["hue", "glyphs/hue", "hue"], ["hue"]),
        (["scale", "own"], ["scale", "fine", "new", "hue", "position", "texture"]),
        ("digits/digit", ["digits/digit"]),
        ("cifar100/coarse", ["cifar100/coarse"]),
        ("cifar100/fine", ["cifar100/fine"]),  # not the glyphs' label of that name
        (["source", "glyphs", "glyphs/source", "hue"], ["source", "hue"]),
        ("source", ["source"]),
        ([], []),
        ("suite/small32", suite("small32")),
        (["cifar10", "suite/small32", "suite/trex8"], None),
    ],
    ids=str,
)
def test_names_of_a_run_on_glyphs(target, names, glyphs):
    if names is None:  # each member once, in the order of its first mention
        together = ["cifar10", *suite("small32"), *suite("trex8")]
        names = [name for i, name in enumerate(together) if name not in together[:i]]
    assert expand(target, glyphs) == names


def images_of(classes=("cat", "dog")):
    """Data of a run on images with one label, as one's own in folders."""
    labels = {"train": [0, 0, 1, 1], "val": [0, 1], "test": [1, 0]}
    sets = {
        split: ImageSet(
            torch.full((len(y), 1, 1, 1), ord(split[1]), dtype=torch.uint8),
            {"class": torch.tensor(y)},
            {"class": classes},
        )
        for split, y in labels.items()
    }
    return SimpleNamespace(name="image_folder", source_label="class", targets={}, image_sets={"source": sets})


@pytest.mark.parametrize("name", ["source", "class", "image_folder", "image_folder/class"])
def test_the_label_that_a_run_was_trained_on_is_the_source_by_any_name(name):
    own = images_of()
    assert expand(name, own) == ["source"]
    assert not is_external(name, "image_folder")
    target = open_target("source", own, RGB32)
    assert (target.name, target.images, target.label, target.num_classes) == ("source", "source", "class", 2)
    assert target.data is own


def test_own_is_without_the_source():
    assert expand("own", images_of()) == []


def test_a_source_label_that_is_a_target_of_its_own_keeps_its_name():
    own = Digits(**SMALL, batch_size=20, source_label="digit")
    assert expand(["digit", "digits/digit", "digits"], own) == ["digit", "source"]


def test_without_a_runs_data_there_are_no_own_labels():
    assert expand("own", None) == expand("source", None) == []
    assert expand(["own", "dtd"], None) == ["dtd"]


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        ("huee", ["there is no target huee", "did you mean hue"]),
        ("cifra10", ["there is no target cifra10", "cifar10"]),
        ("qqq", ["there is no target qqq", *GLYPH_LABELS, "digits", "cifar100", "suite/NAME"]),
        ("qqq/hue", ["there is no target qqq/hue"]),
        (["hue", "digit"], ["there is no target digit"]),
        ("sourc", ["there is no target sourc", "did you mean source"]),
        ("suite/nothing", ["there is no suite nothing", "small32, trex8"]),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_with_what_is(target, texts, glyphs):
    with pytest.raises(ValueError, match="there is no") as error:
        expand(target, glyphs)
    for text in texts:
        assert text in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_label_of_the_run_is_no_label_without_it():
    with pytest.raises(ValueError, match=r"there is no target hue; .*the run's data \(none\)"):
        expand("hue", None)


@pytest.mark.parametrize(
    ("target", "external"),
    [
        ("dtd", True),
        (["dtd", "cifar100/coarse"], True),
        ("suite/trex8", True),
        ("digits/digit", True),
        ("glyphs/hue", False),
        ("glyphs", False),
        (["dtd", "hue"], False),
        ("own", False),
        (None, False),
        ("source", False),
    ],
    ids=str,
)
def test_a_runs_own_data_are_needed_where_a_target_is_theirs(target, external):
    assert is_external(target, "glyphs") is external


# -------------------------------------------------------------------------------------------------- opened


def test_a_label_of_the_run_is_the_runs_own_images(glyphs):
    target = open_target("new", glyphs, glyphs.network_input)
    assert target.data is glyphs
    assert (target.name, target.images, target.label, target.metric) == ("new", "new", "new", "top1")
    assert target.num_classes == 16
    assert torch.equal(target.labels("val"), glyphs.image_sets["new"]["val"].labels["new"])


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("name", "label", "num_classes"), [("digits/digit", "digit", 10), ("digits", "source", 2)]
)
def test_another_data_set_looks_as_the_network_expects(name, label, num_classes, own, glyphs, digits):
    expected = glyphs.network_input if own else RGB32
    target = open_target(name, glyphs if own else None, expected, DataOptions({**SMALL, "crop_share": None}))
    assert target.name == name
    assert target.num_classes == num_classes
    assert {split: len(target.labels(split)) for split in ("train", "val", "test")} == {
        "train": 60,
        "val": 30,
        "test": 40,
    }
    assert torch.equal(target.labels("test"), digits.image_sets["source"]["test"].labels[label])
    grey = digits.image_sets["source"]["test"].image
    rgb = tv.grayscale_to_rgb(tv.resize(grey, [32, 32], antialias=True))
    seen = tv.normalize(tv.to_dtype(rgb, torch.float32, scale=True), expected.mean, expected.std)
    (batch,) = target.data.evaluation_batches(target.images, "test", torch.device("cpu"))
    torch.testing.assert_close(batch.view, seen, rtol=1e-5, atol=1e-5)
    assert digits.network_input.shape == (1, 8, 8)


@pytest.mark.parametrize("size", [24, 48])
def test_images_of_a_size_of_their_own_are_kept_at_it_and_shown_at_the_networks(size, tmp_path, monkeypatch):
    def draw(_, folder, split):  # as the collection reads
        draw = torch.Generator().manual_seed(len(split))
        image = torch.randint(256, (80, 3, 32, 32), generator=draw, dtype=torch.uint8)
        return ImageSet(image, {"class": torch.arange(80) % 10}, {"class": tuple("abcdefghij")})

    monkeypatch.setattr(CIFAR10, "needs", ())
    monkeypatch.setattr(CIFAR10, "read", draw)
    (tmp_path / "cifar10").mkdir()
    options = {"root": str(tmp_path), "cache_dir": str(tmp_path / "cache"), "check_counts": False}
    expected = RGB32._replace(shape=(3, size, size))
    target = open_target("cifar10", None, expected, DataOptions(options))
    kept = target.data.image_sets[target.images]["test"].image
    assert kept.shape == (80, 3, 32, 32)
    (batch,) = target.data.evaluation_batches(target.images, "test", torch.device("cpu"))
    seen = tv.to_dtype(tv.resize(kept, [size, size], antialias=True), torch.float32, scale=True)
    torch.testing.assert_close(batch.view, tv.normalize(seen, expected.mean, expected.std))


@pytest.mark.parametrize("name", ["image_folder", "image_folder_small"])
def test_files_of_any_size_are_read_at_the_networks(name, tmp_path):
    for number in range(40):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 60 + number), (number, 2 * number, 99 - number)).save(path)
    options = {"root": str(tmp_path / "images"), "cache_dir": str(tmp_path / "cache"), "num_workers": 0}
    target = open_target(name, None, RGB32._replace(shape=(3, 24, 24)), DataOptions(options))
    raw = next(iter(target.data.evaluation_dataloader(target.images, "test")))
    assert target.data.to_samples(raw).image.shape[1:] == (3, 24, 24)


def test_glyphs_in_another_size_and_grey(digits):
    target = open_target(
        "glyphs/hue",
        digits,
        digits.network_input,
        DataOptions({"num_train": 64, "num_val": 32, "num_test": 32}),
    )
    assert target.num_classes == 6
    (batch, *_) = target.data.evaluation_batches(target.images, "val", torch.device("cpu"))
    assert batch.view.shape == (32, 1, 8, 8)


def test_a_target_may_have_fewer_images_than_a_training_batch():
    options = DataOptions({"num_train": 30, "num_val": 20, "num_test": 20})
    target = open_target("digits/digit", None, RGB32, options)
    assert len(target.labels("train")) == 30


def test_an_unknown_label_is_refused_with_those_that_are_there(glyphs):
    refused = "target digits/hue: digits has no label hue; choose from source, digit"
    with pytest.raises(ValueError, match=refused):
        open_target("digits/hue", glyphs, glyphs.network_input)


def test_an_option_that_cannot_work_is_one_sentence_with_the_targets_name(glyphs):
    with pytest.raises(
        ValueError,
        match=r"^target digits/digit: data=digits: num_test is 3; it must be a whole number of at least 10.$",
    ):
        open_target("digits/digit", glyphs, glyphs.network_input, DataOptions({"num_test": 3}))


def test_images_that_are_not_on_this_machine_say_where_they_are_looked_for(tmp_path):
    with pytest.raises(ValueError, match="dtd") as error:
        open_target("dtd", None, RGB32, DataOptions({"root": str(tmp_path)}))
    assert str(tmp_path) in str(error.value)


def test_values_of_a_data_sets_configuration_are_those_of_a_training():
    cfg = data_config("glyphs")
    assert (cfg.seed, cfg.instance_seed, cfg.name) == (0, 0, "glyphs")


# --------------------------------------------------------------------------------------------------- checked


def target_of(train, val, test, classes=()):
    """A target of one label, from lists of labels."""
    labels = {"train": train, "val": val, "test": test}
    sets = {
        split: ImageSet(
            torch.full((len(y), 1, 1, 1), ord(split[1]), dtype=torch.uint8),
            {"y": torch.tensor(y, dtype=torch.int64)},
            {"y": tuple(classes)},
        )
        for split, y in labels.items()
    }
    return Target("toy", SimpleNamespace(image_sets={"source": sets}), "source", "y")


def test_a_target_with_two_images_of_each_class_to_learn_from_passes():
    target = target_of([0, 0, 1], [1], [0])
    target.check()
    assert target.num_classes == 2


@pytest.mark.parametrize(
    ("splits", "classes", "texts"),
    [
        (([0, 0, 1], [0], [0, 1]), (), ["class 1 has 1 images", "at least 2"]),
        (([0, 0, 1], [0], [0]), ("cat", "dog"), ["class 1 (dog) has 1 images"]),
        (([0, 0, 0], [0], [0, 1]), (), ["class 1 has 0 images"]),
        (([], [0], [0]), (), ["toy has no train images"]),
        (([0, 0], [], [0]), (), ["toy has no val images"]),
        (([0, 0], [0], []), (), ["toy has no test images"]),
    ],
    ids=str,
)
def test_a_target_that_cannot_be_measured_is_refused(splits, classes, texts):
    with pytest.raises(ValueError, match="target toy") as error:
        target_of(*splits, classes).check()
    for text in texts:
        assert text in str(error.value)
    assert ". " not in str(error.value)


def test_a_class_that_nobody_has_is_no_reason():
    """As in a subset of a data set whose classes all have names."""
    target = target_of([0, 0, 2, 2], [0, 2], [0, 2], ["cat", "dog", "cow"])
    target.check()
    assert target.num_classes == 3


@pytest.mark.parametrize("copied", [False, True])
def test_validation_images_that_are_the_test_images_are_refused(copied):
    target = target_of([0, 0, 1], [1, 0], [1, 0])
    target.check()  # the same labels alone are no reason
    sets = target.data.image_sets["source"]
    test = sets["test"]
    sets["val"] = ImageSet(test.image.clone(), dict(test.labels), test.classes) if copied else test
    with pytest.raises(ValueError, match="target toy: its validation images are its test images"):
        target.check()


def test_several_classes_an_image_are_counted_by_columns():
    label_NL = torch.tensor([[1, 0, 0], [0, -1, 0]], dtype=torch.int8)
    sets = {
        split: ImageSet(torch.full((2, 1, 1, 1), ord(split[1]), dtype=torch.uint8), {"y": label_NL})
        for split in ("train", "val", "test")
    }
    data = SimpleNamespace(image_sets={"source": sets}, collection=SimpleNamespace(metric="map_11_point"))
    target = Target("voc", data, "source", "y")
    target.check()
    assert target.num_classes == 3
    assert target.metric == "map_11_point"


@pytest.mark.parametrize("name", sorted(path.stem for path in (config_dir() / "suite").glob("*.yaml")))
def test_the_members_of_every_suite_are_data_sets(name):
    members = expand(f"suite/{name}", None)
    assert members == suite(name)
    assert set(members) <= set(DATA_SETS)
    assert len(set(members)) == len(members) > 0
