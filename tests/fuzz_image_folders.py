"""Random folders of images: names, formats, sizes, layouts; every second one has a fault.

``python tests/fuzz_image_folders.py --count 200``: each is trained on for a step or prepared; one with a
fault may be refused instead, in one line with exit code 2. Prints what is not so, and then exits with 1.
"""

import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import fuzz
from fuzz import Case

LAYOUTS = {
    "classes": [""],
    "splits": ["train", "val", "test"], "no val": ["train", "test"], "train alone": ["train"],
}  # fmt: skip
ODD_LAYOUTS = {
    "val alone": ["val"], "other": ["training", "validation"], "capitals": ["Train", "Val", "Test"],
    "nested": ["a/b", "a/c"], "none": [],
}  # fmt: skip
CLASSES = ["cat", "dog", "Größe", "a b", "(1)", "it's", "[x]", "#1", "~", "写真", "with.dot", "0", "UPPER"]
FORMATS = {
    "png": ["RGB", "L", "RGBA", "P", "1", "LA", "I;16"], "jpg": ["RGB", "L", "CMYK"], "JPEG": ["RGB"],
    "webp": ["RGB", "RGBA"], "bmp": ["RGB", "L", "1"], "tiff": ["RGB", "L"], "ppm": ["RGB"],
}  # fmt: skip
SIZES = [(1, 1), (8, 8), (32, 32), (40, 30), (1, 300), (300, 1), (65, 64)]
HARMLESS = ["text", "hidden", "bytes", "top"]
UNREADABLE = ["truncated", "empty", "folder", "float", "loop", "gif"]
FAULTS = ["layout", "one class", "no class", "empty class", "few images", *UNREADABLE]
FEW = [
    "data.image_size=32", "data.batch_size=2", "data.num_workers=0", "trainer.max_epochs=1",
    "trainer.max_steps=1", "trainer.enable_progress_bar=false", "callbacks.transfer_probe=null",
    "num_threads=1", "model=ce",
]  # fmt: skip


def make(seed: int, root: Path) -> Callable[[int], Case]:
    """Folders below ``root``."""

    def draw(number: int) -> Case:
        rng = random.Random(f"{seed} {number}")
        folder = root / f"Photos {number} {rng.choice(['', '(1)', '[x], y', 'Ü'])}"
        folder.mkdir()
        fault = rng.choice(FAULTS) if number % 2 else None
        fill(folder, rng, fault)
        refused = None if fault else False
        if rng.random() < 0.15:
            return Case("prepare", [str(folder), "shards", "--size", "32", "--workers", "0"], refused)
        data = rng.choice(["image_folder", "image_folder_small"])
        skip = rng.choice(["stop", "skip"])
        return Case("train", [f"data={data}", f"data.root={folder}", *FEW, f"data.on_error={skip}"], refused)

    return draw


def fill(folder: Path, rng: random.Random, fault: str | None) -> None:
    """Make classes of images, some files that are none, and perhaps one fault."""
    num_classes = {"one class": 1, "no class": 0}.get(fault or "", rng.choice([2, 3, 4]))
    layouts = ODD_LAYOUTS if fault == "layout" else LAYOUTS
    classes, splits = rng.sample(CLASSES, num_classes), layouts[rng.choice([*layouts])]
    for split in splits:
        for name in classes:
            home = folder / split / name
            home.mkdir(parents=True)
            few = {"empty class": 0, "few images": 1}.get(fault or "", 8) if name == classes[0] else 8
            for image in range(few):
                extension = rng.choice([*FORMATS])
                (home / f"{image}.{extension}").write_bytes(encoded(extension, rng.choice(SIZES), rng))
            for kind in rng.sample(HARMLESS, rng.choice([0, 0, 1])):
                spoil(folder, home, kind)
    if fault in UNREADABLE:
        spoil(folder, folder / rng.choice(splits) / rng.choice(classes), fault)


def encoded(extension: str, size: tuple[int, int], rng: random.Random) -> bytes:
    """An image file; one colour in one of five."""
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (*size, 3), np.uint8)
    pixels[:] = pixels[0, 0] if rng.random() < 0.2 else pixels
    mode = rng.choice(FORMATS[extension])
    image = Image.fromarray(pixels)
    image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG", "tiff": "TIFF"}.get(extension, extension.upper()))
    return file.getvalue()


def spoil(folder: Path, home: Path, kind: str) -> None:
    """Add what is no image of a class."""
    if kind == "truncated":
        (home / "cut.png").write_bytes(encoded("png", (32, 32), random.Random(0))[:60])
    elif kind == "empty":
        (home / "empty.jpg").touch()
    elif kind == "text":
        (home / "notes.txt").write_text("notes")
    elif kind == "hidden":
        (home / ".DS_Store").write_bytes(b"\x00\x01")
    elif kind == "float":
        Image.new("F", (8, 8)).save(home / "float.tiff")
    elif kind == "gif":
        Image.new("P", (8, 8)).save(home / "still.gif")
    elif kind == "folder":
        (home / "sub.png").mkdir(exist_ok=True)
    elif kind == "loop":
        (home / "loop").symlink_to(home, target_is_directory=True)
    elif kind == "bytes":
        Path(os.fsdecode(os.fsencode(home) + b"/\xff.png")).write_bytes(
            encoded("png", (8, 8), random.Random(1))
        )
    else:
        (folder / "cover.jpg").write_bytes(encoded("jpg", (32, 32), random.Random(2)))


if __name__ == "__main__":
    sys.exit(fuzz.run_all(__doc__, make))
