"""From a folder of one's own images to a trained network, by the real program on two processes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import programs

CLASSES = ["daisy", "rose", "tulip"]
NUM_TRAIN = 43
SHORT = [
    "data=image_folder",
    "data.image_size=32",
    "data.batch_size=5",
    "data.drop_last=false",
    "data.num_workers=1",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "num_threads=1",
]


def program(folder, *arguments):
    root, cache = f"data.root={folder / 'photos'}", str(folder / "cache")
    return programs.run("train", *SHORT, root, *arguments, cwd=folder, CTC_CACHE=cache)


@pytest.fixture
def photos(tmp_path):
    """JPEGs as people have them: of many sizes, one grey, one CMYK, one lying on its side."""
    rng = np.random.default_rng(0)
    for split, count in {"train": NUM_TRAIN, "val": 9, "test": 9}.items():
        for number in range(count):
            folder = tmp_path / "photos" / split / CLASSES[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            height, width = rng.integers(34, 60, 2)
            level = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            level[..., number % 3] //= 4
            image = Image.fromarray(level)
            mode = {0: "L", 1: "CMYK"}.get(number, "RGB")
            exif = Image.Exif()
            exif[0x0112] = 6 if number == 2 else 1
            image.convert(mode).save(folder / f"{number:02d}.jpg", exif=exif)
    return tmp_path


@pytest.mark.slow
def test_two_processes_train_a_memory_bank_whose_rows_are_the_data_set_s(photos):
    """Every image's own row is written: a written row has unit norm, an untouched one does not."""
    done = program(photos, "model=ctc_bank", "model.momentum=0", "trainer=ddp_sim", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(photos / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["classes"] == CLASSES
    bank = {
        name.rpartition(".")[2]: value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("stages.contrast.memory.")
    }
    # the listing goes by class, then name; number n is of class n mod 3
    assert bank["label_N"].tolist() == sorted(number % 3 for number in range(NUM_TRAIN))
    torch.testing.assert_close(bank["row_ND"].norm(dim=1), torch.ones(NUM_TRAIN))
    record = json.loads((photos / "run" / "provenance.json").read_text())
    assert record["data"] == {
        "images": {"train": NUM_TRAIN, "val": 9, "test": 9},
        "classes": CLASSES,
        "digest": checkpoint["images"]["digest"],
    }
    results = pd.read_csv(photos / "run" / "results.csv")
    assert set(results.target) == {"source"}
    assert set(results.epoch) == {0, 1}


def test_an_unreadable_image_stops_with_its_name_or_is_replaced_and_counted(photos):
    victim = photos / "photos" / "train" / "rose" / "04.jpg"
    victim.write_bytes(victim.read_bytes()[:300])

    stopped = program(photos, "model=ce", "hydra.run.dir=stopped")
    assert stopped.returncode == 2
    assert stopped.stderr.count("\n") == 1
    assert str(victim) in stopped.stderr

    checked = program(photos, "model=ce", "data.check=full", "hydra.run.dir=checked")
    assert checked.returncode == 2
    assert str(victim) in checked.stderr
    assert not (photos / "checked" / "config.yaml").exists(), "training had begun"

    done = program(photos, "model=ce", "data.on_error=skip", "hydra.run.dir=skipped")
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(photos / "skipped" / "metrics.csv")["data/replaced"].dropna().tolist() == [1]


def test_a_checkpoint_of_other_classes_is_one_clear_error(photos):
    done = program(photos, "model=ce", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    (photos / "photos" / "train" / "poppy").mkdir()
    for split in ("train", "val", "test"):
        folder = photos / "photos" / split / "poppy"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    resumed = program(photos, "model=ce", "hydra.run.dir=run", "resume=auto", "trainer.max_epochs=2")
    assert resumed.returncode == 2
    assert "classifies 3 classes and the data have 4" in resumed.stderr
    assert resumed.stderr.count("\n") == 1
