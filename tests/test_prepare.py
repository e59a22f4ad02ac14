"""Preparing promises: every image once, shrunk and upright, with its label and index; all or nothing."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from safetensors.numpy import load_file

import programs
from ctc_lightning import prepare as program
from ctc_lightning.data.folders import list_class_folders
from ctc_lightning.prepare import main, prepare, shrunk

litdata = pytest.importorskip("litdata", reason="pip install 'ctc-lightning[stream]'")

SIZE = 32
COMMAND = [sys.executable, "-m", "ctc_lightning.prepare"]


def photograph(seed, rows, columns, mode="RGB"):
    """Smooth colours, as JPEG keeps them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC).convert(mode)


def write_tree(root):
    """Three classes of unequal size, images of all shapes and some odd kinds."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for split, factor in (("train", 4), ("val", 1)):
        seed = 0
        for number, name in enumerate(("ant", "bee", "cat")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for copy in range(factor * (number + 1)):
                seed += 1
                photograph(seed, 40 + seed, 90 - seed).save(folder / f"{copy}.jpg", quality=95)
    odd = root / "train" / "ant"
    photograph(100, 20, 30).save(odd / "small.jpg", quality=70)
    photograph(101, SIZE, 50).save(odd / "just.jpg", quality=70)
    photograph(102, 64, 48, "L").save(odd / "grey.jpg", quality=95)
    photograph(103, 64, 48, "RGBA").save(odd / "alpha.png")
    photograph(104, 20, 30, "L").save(odd / "small_grey.jpg", quality=95)
    photograph(105, 48, 96).save(odd / "turned.jpg", quality=95, exif=turned)
    photograph(106, 20, 30).save(odd / "small_turned.jpg", quality=95, exif=turned)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    write_tree(root)
    return root


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory):
    """What the command writes, and what it says."""
    output = tmp_path_factory.mktemp("prepared") / "shards"
    done = programs.run("prepare", tree, output, "--size", SIZE, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return output, done


def stored(output, split):
    """Index -> (label, JPEG), as litdata itself reads the shards."""
    samples = list(litdata.StreamingDataset(str(output / split)))
    images = {index: (label, bytes(image)) for image, label, index in samples}
    assert len(images) == len(samples), "an index twice"
    return images


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_image_is_there_once_under_the_index_and_label_of_the_folder(prepared, tree, split):
    _, names, label_N = list_class_folders(tree / split)
    images = stored(prepared[0], split)
    assert sorted(images) == list(range(len(names)))
    assert [images[index][0] for index in range(len(names))] == label_N.tolist()
    arrays = load_file(prepared[0] / f"{split}.safetensors")
    np.testing.assert_array_equal(arrays["label"], label_N)
    shards = litdata.StreamingDataset(str(prepared[0] / split))
    assert [shards[int(position)][2] for position in arrays["position"]] == list(range(len(names)))


def test_training_images_lie_in_random_order_others_in_theirs(prepared):
    train, val = (load_file(prepared[0] / f"{split}.safetensors")["position"] for split in ("train", "val"))
    np.testing.assert_array_equal(val, np.arange(len(val)))
    assert (np.diff(train) == 1).mean() < 0.3


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_are_shrunk_upright_and_rgb(prepared, tree, split):
    _, names, _ = list_class_folders(tree / split)
    images = stored(prepared[0], split)
    for index, name in enumerate(names):
        original = Image.open(tree / split / name)
        if "turned" in name:  # orientation 6 asks for a quarter turn clockwise
            original = original.transpose(Image.Transpose.ROTATE_270)
        columns, rows = original.size
        scale = min(1, SIZE / min(rows, columns))
        target = round(columns * scale), round(rows * scale)
        expected = np.asarray(original.convert("RGB").resize(target, Image.Resampling.BICUBIC)).astype(int)
        found = pixels(images[index][1])
        assert found.shape == expected.shape, name
        assert np.abs(found - expected).mean() < 5, name  # JPEG's own error


def test_shrinking_averages_what_is_too_fine_to_be_kept(tmp_path):
    row, column = np.mgrid[:120, :160]
    stripes = np.where((row + column) % 2, 255, 0).astype(np.uint8)
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    found = pixels(shrunk(tmp_path / "stripes.png", size=30, quality=95))
    assert found.shape == (30, 40, 3)
    np.testing.assert_allclose(found, 127.5, atol=6)


def test_jpegs_that_are_small_enough_are_copied_byte_for_byte(prepared, tree):
    _, names, _ = list_class_folders(tree / "train")
    images = stored(prepared[0], "train")
    same = {
        Path(name).name
        for index, name in enumerate(names)
        if images[index][1] == (tree / "train" / name).read_bytes()
    }
    assert same == {"small.jpg", "just.jpg"}


def test_the_manifest_and_the_terminal_say_what_there_is(prepared, tree):
    output, done = prepared
    manifest = json.loads((output / "prepared.json").read_text())
    assert manifest["classes"] == ["ant", "bee", "cat"]
    assert (manifest["size"], manifest["quality"]) == (SIZE, 90)
    assert {split: entry["count"] for split, entry in manifest["splits"].items()} == {"train": 31, "val": 6}
    assert all(entry["unreadable"] == [] for entry in manifest["splits"].values())
    assert "train: 31 of 31 images, " in done.stdout
    assert "3 classes, written to " in done.stdout
    assert "31/31" in done.stderr, "no progress bar"


def test_the_listing_tells_two_folders_apart(prepared, tree, tmp_path):
    listing = json.loads((prepared[0] / "prepared.json").read_text())["splits"]["val"]["listing"]
    prepare(tree / "val", tmp_path / "again", size=8, quality=50, num_workers=0, skip=False)
    again = json.loads((tmp_path / "again" / "prepared.json").read_text())["splits"]["train"]["listing"]
    assert listing == again, "the same files under the same names"
    write_tree(tmp_path / "other")
    (tmp_path / "other" / "val" / "ant" / "0.jpg").rename(tmp_path / "other" / "val" / "ant" / "1.jpg")
    prepare(tmp_path / "other" / "val", tmp_path / "third", size=8, quality=50, num_workers=0, skip=False)
    third = json.loads((tmp_path / "third" / "prepared.json").read_text())["splits"]["train"]["listing"]
    assert third != listing


def test_class_folders_alone_are_the_training_images(tree, tmp_path):
    text = prepare(tree / "val", tmp_path / "shards", size=8, quality=90, num_workers=0, skip=False)
    assert text.startswith("train: 6 of 6 images, ")
    assert len(stored(tmp_path / "shards", "train")) == 6


def test_shards_have_a_fixed_number_of_images(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "IMAGES_A_SHARD", 10)
    prepare(tree, tmp_path / "shards", size=8, quality=90, num_workers=0, skip=False)
    chunks = json.loads((tmp_path / "shards" / "train" / "index.json").read_text())["chunks"]
    assert [chunk["chunk_size"] for chunk in chunks] == [10, 10, 10, 1]


def fails(capsys, *arguments):
    """The one line of a run that fails."""
    assert main([*map(str, arguments), "--workers", "0"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_unreadable_files_are_counted_named_and_leave_nothing_behind(tmp_path, capsys):
    write_tree(tmp_path / "tree")
    whole = (tmp_path / "tree" / "train" / "bee" / "0.jpg").read_bytes()
    (tmp_path / "tree" / "train" / "bee" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "tree" / "train" / "cat" / "1.jpg").write_bytes(b"")
    line = fails(capsys, tmp_path / "tree", tmp_path / "shards")
    assert line.startswith("error: 2 of 31 files of train are unreadable (")
    assert "bee/0.jpg is truncated or corrupt: " in line
    assert "cat/1.jpg is empty" in line
    assert line.endswith(": repair or remove them, or give --on-error skip.")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_unreadable_files_can_be_left_out_and_keep_their_index(tmp_path, capsys):
    write_tree(tmp_path / "tree")
    (tmp_path / "tree" / "train" / "bee" / "3.jpg").write_bytes(b"")
    (tmp_path / "tree" / "train" / "bee" / os.fsdecode(b"\xe9.jpg")).write_bytes(b"")
    output = tmp_path / "shards"
    assert main([str(tmp_path / "tree"), str(output), "--workers", "0", "--on-error", "skip"]) == 0
    assert "train: 30 of 32 images, " in capsys.readouterr().out
    manifest = json.loads((output / "prepared.json").read_text())
    assert manifest["splits"]["train"]["unreadable"] == ["bee/3.jpg", "bee/\\xe9.jpg"]
    _, names, label_N = list_class_folders(tmp_path / "tree" / "train")
    gone = {names.index("bee/3.jpg"), names.index(os.fsdecode(b"bee/\xe9.jpg"))}
    images = stored(output, "train")
    assert sorted(images) == [index for index in range(32) if index not in gone]
    assert all(label == label_N[index] for index, (label, _) in images.items())


def test_what_no_jpeg_can_hold_is_unreadable(tmp_path, capsys):
    """A JPEG has at most 65 535 columns."""
    write_tree(tmp_path / "tree")
    Image.new("RGB", (66_000, 1)).save(tmp_path / "tree" / "train" / "bee" / "line.png")
    assert "bee/line.png cannot be converted (" in fails(capsys, tmp_path / "tree", tmp_path / "shards")
    line = fails(capsys, tmp_path / "tree", tmp_path / "shards", "--max-pixels", "3")
    assert "--on-error" not in line
    assert "must have at most 3" in line


def test_mistakes_are_told_in_one_sentence_before_any_work(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "shrunk", lambda *_, **__: pytest.fail("began to work"))
    new = tmp_path / "new"
    assert fails(capsys, tmp_path / "nowhere", new) == (
        f"error: There is no folder {tmp_path / 'nowhere'}: give the folder that holds the images."
    )
    assert fails(capsys, tree, tmp_path) == (
        f"error: {tmp_path} exists, must be new: give another name, or remove it."
    )
    assert "--size is 0; it must be a whole number of at least 1" in fails(capsys, tree, new, "--size", 0)
    assert "--max-pixels is 0; it must be a whole number of at least 1" in fails(
        capsys, tree, new, "--max-pixels", 0
    )
    assert "--quality is 101; it must be at least 1 and at most 100" in fails(
        capsys, tree, new, "--quality", 101
    )
    (tmp_path / "half" / "val" / "ant").mkdir(parents=True)
    assert "has val but no train" in fails(capsys, tmp_path / "half", new)


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_validation_images_under_their_other_names_are_not_lost(name, tmp_path):
    write_tree(tmp_path)
    (tmp_path / "val").rename(tmp_path / name)
    listed = program.list_splits(tmp_path)
    assert list(listed)[:2] == ["train", "val"]
    assert {path.parts[-3] for path in map(listed["val"].path, range(len(listed["val"])))} == {name}


def test_classes_that_do_not_match_are_told_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "shrunk", lambda *_, **__: pytest.fail("began to work"))
    write_tree(tmp_path / "tree")
    (tmp_path / "tree" / "train" / "dog").mkdir()
    assert "'dog'" in fails(capsys, tmp_path / "tree", tmp_path / "new")
    (tmp_path / "tree" / "train" / "dog").rmdir()
    photograph(1, 40, 40).save(tmp_path / "stray.jpg")
    (tmp_path / "tree" / "val" / "dog").mkdir()
    (tmp_path / "stray.jpg").rename(tmp_path / "tree" / "val" / "dog" / "0.jpg")
    assert "'dog'" in fails(capsys, tmp_path / "tree", tmp_path / "new")


def test_without_litdata_the_remedy_is_told(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "litdata", None)
    line = fails(capsys, tree, tmp_path / "new")
    assert line == (
        "error: litdata is not installed, which reads and writes shards: pip install 'ctc-lightning[stream]'."
    )


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_looks_complete_and_can_be_repeated(tmp_path):
    data = io.BytesIO()
    photograph(0, 600, 800).save(data, "JPEG")
    folder = tmp_path / "tree" / "ant"
    folder.mkdir(parents=True)
    for number in range(600):
        (folder / f"{number}.jpg").write_bytes(data.getvalue())
    (folder.parent / "bee").mkdir()
    photograph(1, 600, 800).save(folder.parent / "bee" / "0.jpg")
    output = tmp_path / "shards"
    command = [*COMMAND, str(folder.parent), str(output), "--workers", "0"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not (partial := list(tmp_path.glob(".shards.*.tmp"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert partial[0].exists()
    assert not output.exists()
    for number in range(1, 600):
        (folder / f"{number}.jpg").unlink()
    assert prepare(folder.parent, output, size=32, quality=90, num_workers=0, skip=False)
    assert not partial[0].exists()
    assert list(stored(output, "train")) == [0, 1]
