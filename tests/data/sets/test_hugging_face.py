"""data=hugging_face: parquet, arrow, image and saved folders, and the hub; columns, splits and mistakes."""

import io
import pickle
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from ctc_lightning import CTCModule, load_data
from ctc_lightning.cli.configuration import config_dir
from ctc_lightning.data.__main__ import main
from ctc_lightning.data.image_set import join
from ctc_lightning.data.sets.hugging_face import HuggingFace
from ctc_lightning.data.splits import hold_out
from ctc_lightning.train import train
from ctc_lightning.transfer import transfer

SIZE = 8
NUMBERS = {"train": 30, "validation": 12, "test": 15}
KIND, PLACE = ("bird", "cat", "dog"), ("indoors", "outdoors")
FEATURES = datasets.Features(
    {
        "photo": datasets.Image(),
        "kind": datasets.ClassLabel(names=KIND),
        "place": datasets.ClassLabel(names=PLACE),
    }
)
QUICK = {
    "image_size": SIZE,
    "num_workers": 0,
    "batch_size": 6,
    "augmentation": None,
    "key_augmentation": None,
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setenv("CTC_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


def pixels(split, row):
    level = 4 * row + 120 * (split == "test") + 60 * (split == "validation")
    return np.full((SIZE, SIZE, 3), level, np.uint8)


def png(split, row):
    file = io.BytesIO()
    Image.fromarray(pixels(split, row)).save(file, "png")
    return file.getvalue()


def table(split, number):
    rows = range(number)
    columns = {"photo": [{"bytes": png(split, row), "path": None} for row in rows]}
    columns |= {"kind": [row % 3 for row in rows], "place": [row % 2 for row in rows]}
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def write(kind, root, numbers=NUMBERS):
    tables = datasets.DatasetDict({split: table(split, number) for split, number in numbers.items()})
    if kind == "saved":
        tables.save_to_disk(str(root))
        return root
    root.mkdir(parents=True)
    for split, one in tables.items():
        if kind == "parquet":
            one.to_parquet(str(root / f"{split}-00000-of-00001.parquet"))
        elif kind == "arrow":
            arrow = one.data.table
            with (
                pa.OSFile(str(root / f"{split}.arrow"), "wb") as file,
                pa.ipc.new_stream(file, arrow.schema) as out,
            ):
                out.write_table(arrow)
        else:
            for row in range(len(one)):
                path = root / split / KIND[row % 3] / f"{row:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(split, row))
    return root


def opened(root, **options):
    data = load_data("hugging_face", root=root, **QUICK | options)
    data.setup()
    return data


def levels(data, split):
    """The grey level of each image, as it is read from its bytes."""
    files = data.image_sets["source"][split]
    decoded = (Image.open(io.BytesIO(files.path(row).read_bytes())) for row in range(len(files)))
    return [np.array(image)[0, 0, 0].item() for image in decoded]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "saved"])
def test_images_labels_classes_and_splits_are_those_of_the_table(kind, tmp_path):
    data = opened(write(kind, tmp_path / "pets"))
    assert data.source_label == "kind"
    assert data.targets == {"place": "source"}
    assert data.classes == KIND
    assert data.image_shape == (3, SIZE, SIZE)
    for split, name in {"train": "train", "val": "validation", "test": "test"}.items():
        images = data.image_sets["source"][split]
        assert levels(data, split) == [pixels(name, row)[0, 0, 0] for row in range(NUMBERS[name])]
        assert images.labels["kind"].tolist() == [row % 3 for row in range(NUMBERS[name])]
        assert images.labels["place"].tolist() == [row % 2 for row in range(NUMBERS[name])]
        assert images.classes == {"kind": KIND, "place": PLACE}
    batch = next(data.evaluation_batches("source", "test", torch.device("cpu")))
    shown = (batch.view * data.std[:, None, None] + data.mean[:, None, None]) * 255
    assert shown[:, 0, 0, 0].round().int().tolist() == levels(data, "test")


def test_folders_of_images_are_read_where_they_are(tmp_path):
    data = opened(write("images", tmp_path / "pets"))
    assert (data.source_label, data.classes, data.targets) == ("label", KIND, {})
    assert sorted(levels(data, "test")) == [pixels("test", row)[0, 0, 0] for row in range(NUMBERS["test"])]
    by_level = zip(levels(data, "train"), data.train_label.tolist(), strict=True)
    assert all(label == level // 4 % 3 for level, label in by_level)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_test_and_validation_are_held_out_of_one_split_as_for_folders(share, tmp_path):
    root = write("parquet", tmp_path / "pets", {"train": 60})
    data = opened(root, collection={"test_share": share}, val_share=0.25)
    kept, held = hold_out(torch.arange(60) % 3, round(60 * share), 0, KIND)
    left, val = hold_out(kept % 3, round(0.25 * len(kept)), 0, KIND)
    assert levels(data, "test") == (4 * held).tolist()
    assert levels(data, "val") == (4 * kept[val]).tolist()
    assert levels(data, "train") == (4 * kept[left]).tolist()


def test_the_columns_can_be_named_and_need_no_types(tmp_path):
    """As pyarrow writes them: bytes, text and numbers."""
    rows = range(30)
    columns = {"png": [png("train", row) for row in rows], "other": [png("test", row) for row in rows]}
    columns |= {"word": [KIND[row % 3] for row in rows], "number": [row % 5 for row in rows]}
    (tmp_path / "plain").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "plain" / "all.parquet")
    named = {"image": "png", "labels": ["word", "number"]}
    data = opened(tmp_path / "plain", source_label="number", collection=named)
    assert (data.num_classes, data.targets) == (5, {"word": "source"})
    files = data.image_sets["source"]["train"]
    assert files.classes["word"] == KIND
    level = torch.tensor(levels(data, "train"))
    assert files.labels["word"].tolist() == (level // 4 % 3).tolist()
    assert files.labels["number"].tolist() == (level // 4 % 5).tolist()


def test_a_test_split_without_labels_is_left_out(tmp_path, caplog):
    tables = {"train": table("train", 30), "test": table("test", 6).remove_columns("kind")}
    tables["test"] = tables["test"].add_column("kind", [-1] * 6).cast(FEATURES)
    datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "pets"))
    data = opened(tmp_path / "pets")
    assert "the test split is left out, as its images have no labels" in caplog.text
    assert len(data.image_sets["source"]["test"]) + len(data.image_sets["source"]["train"]) <= 30


def test_rows_of_one_table_are_joined(tmp_path):
    splits = opened(write("parquet", tmp_path / "pets")).image_sets["source"]
    both = join(splits["train"], splits["test"])
    assert len(both) == NUMBERS["train"] + NUMBERS["test"]
    assert both.path(NUMBERS["train"]).read_bytes() == png("test", 0)


def test_the_hub_is_asked_for_name_subset_and_revision(tmp_path, monkeypatch):
    root, asked = write("parquet", tmp_path / "pets"), []
    build = datasets.load_dataset_builder

    def load_dataset_builder(name, subset=None, **options):
        asked.append((name, subset, options))
        return build(str(root))

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    data = opened("hf://someone/pets@v1", collection={"subset": "small"})
    assert asked == [("someone/pets", "small", {"revision": "v1"})]
    assert levels(data, "test") == [pixels("test", row)[0, 0, 0] for row in range(NUMBERS["test"])]


@pytest.fixture
def folders(tmp_path):
    write("parquet", tmp_path / "pets")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "train.pkl").write_bytes(pickle.dumps({"image": [1]}))
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.csv").write_text("image,label\na.png,1\n")
    (tmp_path / "pairs").mkdir()
    columns = {"a": [b"x"], "b": [1.5]}
    pq.write_table(pa.table(columns), tmp_path / "pairs" / "train.parquet")
    two = datasets.DatasetDict({"train": table("train", 6), "training": table("train", 6)})
    two.save_to_disk(str(tmp_path / "two"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("nowhere", {}, r"no folder .*nowhere: set data.root=FOLDER, or data.root=hf://OWNER/NAME"),
        ("code", {}, r"cannot be opened as a data set"),
        ("pickled", {}, r"cannot be opened as a data set"),
        ("rows", {}, r"of kind csv, must be parquet, arrow, imagefolder"),
        ("pairs", {}, r"no column of type ClassLabel: name those of the labels by .*of a, b"),
        (
            "pairs",
            {"collection": {"labels": "b"}},
            r"has 0 columns of type Image, must have 1: name .*of a, b",
        ),
        (
            "pairs",
            {"collection": {"labels": "b", "image": "a"}},
            r"column b is of type Value, a label must be",
        ),
        ("pets", {"collection": {"labels": "knd"}}, r"no column 'knd': choose one of photo, kind, place"),
        ("pets", {"collection": {"image": "foto"}}, r"no column 'foto': choose one of photo, kind, place"),
        ("pets", {"source_label": "size"}, r"source_label is 'size'.*choose from kind, place"),
        ("pets", {"collection": {"test_share": 1}}, r"test_share is 1; it must be at least 0 and below 1"),
        ("two", {}, r"has 2 splits for train among train, training, must have 1"),
    ],
)
def test_mistakes_are_one_sentence(name, options, sentence, folders):
    with pytest.raises(ValueError, match=sentence) as refused:
        opened(folders / name, **options)
    assert "\n" not in str(refused.value)
    assert not (folders / "ran").exists()


def test_without_the_library_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'ctc-lightning\[hugging_face\]'"):
        HuggingFace().labels_in(tmp_path)


def test_an_empty_row_is_an_unreadable_image(tmp_path):
    one = table("train", 30).to_dict()
    one["photo"][4] = None
    datasets.Dataset.from_dict(one, features=FEATURES).save_to_disk(str(tmp_path / "pets"))
    with pytest.raises(ValueError, match=r"image 4 of .*pets cannot be read: the row is empty"):
        opened(tmp_path / "pets", check="full")


def test_the_list_of_data_sets_names_it(capsys):
    assert main(["list"]) == 0
    assert "data=hugging_face data.root=FOLDER" in capsys.readouterr().out


def test_a_step_of_training_and_transfer_to_the_other_label(tmp_path):
    root = write("parquet", tmp_path / "pets")
    options = [f"data.{key}={'null' if value is None else value}" for key, value in QUICK.items()]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        words = ["data=hugging_face", f"data.root={root}", *options, "trainer.max_epochs=1"]
        words += ["trainer.limit_train_batches=1", "trainer.enable_progress_bar=false", "model.queue_size=8"]
        train(compose("train", [*words, f"paths.run_dir={tmp_path / 'run'}"]))
        cfg = compose(
            "transfer", [f"run={tmp_path / 'run'}", "protocol=knn", "target=[own,hugging_face/place]"]
        )
        assert transfer(cfg) == []
    rows = (tmp_path / "run" / "results.csv").read_text()
    assert ",knn,place,top1," in rows


def test_a_bare_trainer_takes_it(tmp_path):
    data = opened(write("arrow", tmp_path / "pets"))
    module = CTCModule.from_preset("ce", backbone="cifar/resnet8", num_classes=data.num_classes)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(module, data)
    assert trainer.global_step == 1
