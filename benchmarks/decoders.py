"""JPEG decoders on photographs' sizes and entropy: ``python benchmarks/decoders.py``.

H rows, W columns, C = 3 colours
"""

import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, features
from side_by_side import interleave, ratios, seconds_of, spread, start, table, verdict
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg

from ctc_lightning.data.decode import decode_bytes

SIZE, QUALITY, NUM_IMAGES = (375, 500), 90, 32


def texture(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """(H, W, C) smooth random colours with finer and fainter detail on top: as photographs, about 1/f."""
    generator = torch.Generator().manual_seed(seed)
    image_1CHW = torch.zeros(1, 3, *size)
    for octave in range(1, 8):
        cells = (2**octave, 2**octave)
        cell = torch.randn((1, 3, *cells), generator=generator)
        cell = 0.6 * cell.mean(1, keepdim=True) + 0.4 * cell  # colours vary less than brightness
        image_1CHW += 0.62**octave * interpolate(cell, size, mode="bicubic")
    noise = 0.02 + 0.09 * torch.rand((), generator=generator)  # the sensor's, in good and in bad light
    image_1CHW += noise * torch.randn((1, 1, *size), generator=generator)
    pixel_HWC = (128 + 150 * image_1CHW[0]).clamp(0, 255).byte().permute(1, 2, 0)
    return pixel_HWC.numpy()


def jpeg(seed: int) -> bytes:
    """One texture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(texture(seed)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def by_torchvision(data: bytes) -> torch.Tensor:
    """Decode by torchvision alone."""
    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)


def by_pillow(data: bytes) -> torch.Tensor:
    """Decode by Pillow, with the copy that a tensor needs."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1)


def decoders() -> dict[str, Callable[[bytes], object]]:
    """Those that are installed, by name; simplejpeg is no dependency of the package."""
    found: dict[str, Callable[[bytes], object]] = {
        "torchvision": by_torchvision,
        "Pillow": by_pillow,
        "decode_bytes": lambda data: decode_bytes(data, "texture"),
    }
    if find_spec("simplejpeg"):
        import simplejpeg  # noqa: PLC0415  # optional

        found["simplejpeg"] = lambda data: torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1)
    return found


def main() -> None:
    """What decides: the fastest that gives Pillow's pixels, as Pillow decodes all other formats."""
    rounds = start(rounds=15)
    warnings.simplefilter("ignore")
    files = [jpeg(seed) for seed in range(NUM_IMAGES)]
    kilobytes = spread((len(file) for file in files), scale=1e-3)
    print(f"{NUM_IMAGES} JPEGs of {SIZE[1]} x {SIZE[0]}, quality {QUALITY}, {kilobytes} kB; ", end="")
    print(f"Pillow with libjpeg-turbo {features.version_feature('libjpeg_turbo')}\n")

    def all_files(decode: Callable[[bytes], object]) -> Callable[[], object]:
        def run() -> None:
            for file in files:
                decode(file)

        return run

    names = decoders()
    seconds = interleave({name: seconds_of(all_files(run)) for name, run in names.items()}, rounds)
    faster = {name: ratios(seconds["Pillow"], values) for name, values in seconds.items()}
    table(
        ("decoder", "ms per image", "× faster than Pillow", "largest difference to Pillow, levels"),
        *(
            (
                name,
                spread(values, scale=1e3 / NUM_IMAGES),
                spread(faster[name]),
                str(max(int((names[name](f).int() - by_pillow(f).int()).abs().max()) for f in files)),
            )
            for name, values in seconds.items()
        ),
    )
    verdict("decode_bytes is no slower than Pillow alone", kept=median(faster["decode_bytes"]) >= 1)


if __name__ == "__main__":
    main()
