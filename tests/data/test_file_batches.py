"""Batches of decoded files: one size, the crops that were drawn, and what replaces unreadable images."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2.functional import resized_crop

from ctc_lightning.data import ImageFiles, RandomResizedCrop, file_batches
from ctc_lightning.data.decode import decode
from ctc_lightning.data.file_batches import FileBatches, Fit, Unreadable
from ctc_lightning.data.image_set import Samples

NUM = 20
SEED = 2**64 - 1  # the largest that a sampler hands out


class Recorded(RandomResizedCrop):
    """Keeps the boxes that it drew, (N, 4), and the sizes that it was told, (N, 2)."""

    def __init__(self, **options):
        super().__init__(**options)
        self.drawn, self.told = [], []

    def boxes(self, height_B, width_B, generator):
        box_B4 = super().boxes(height_B, width_B, generator)
        self.drawn += box_B4.tolist()
        self.told += torch.stack([height_B, width_B], 1).tolist()
        return box_B4


@pytest.fixture
def files(squares, tmp_path):
    """Twenty images of noise, every second one on its side."""
    collection = squares(train=NUM)
    collection.draw_noise(tmp_path, (12, 9))
    return collection.read(tmp_path / "squares", "train")


@pytest.fixture
def originals(files, pixels_of):
    return [pixels_of(files.path(row)) for row in range(NUM)]


def rows(*numbers):
    return torch.tensor(numbers)


def same(one, other):
    return torch.equal(one.image, other.image) and torch.equal(one.index, other.index)


# ------------------------------------------------------------------------------------------------------- fit


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "share", "resized"), [(8, 1.0, 8), (7, 0.875, 8), (14, 0.7, 20), (9, 0.95, 9)]
)
@pytest.mark.parametrize("image_size", [(12, 9), (9, 12), (16, 16), (31, 8), (9, 9), (5, 17)])
def test_fit_is_torchvision_s_resize_and_centre_crop(size, share, resized, interpolation, image_size):
    image = torch.randint(0, 256, (3, *image_size), dtype=torch.uint8, generator=torch.manual_seed(0))
    mode = InterpolationMode(interpolation)
    expected = v2.Compose([v2.Resize(resized, mode, antialias=True), v2.CenterCrop(size)])
    assert torch.equal(Fit(size, share, interpolation)(image), expected(image))


def test_fit_of_a_batch_is_that_of_each_image():
    image = torch.randint(0, 256, (4, 3, 7, 10), dtype=torch.uint8, generator=torch.manual_seed(0))
    for size in (3, 7, 8):
        expected = torch.stack([Fit(size)(image_CHW) for image_CHW in image])
        assert torch.equal(Fit(size)(image), expected)


@pytest.mark.parametrize(("share", "length"), [(1.0, 6000), (0.875, 6001), (0.875, 60_000)])
@pytest.mark.parametrize("lies", [False, True])
def test_of_a_long_image_only_the_middle_is_scaled(share, length, lies, monkeypatch):
    """Rows of slowly changing brightness; the memory does not grow with their number."""
    level_N = (128 + 100 * torch.sin(torch.arange(length) / 40)).round().to(torch.uint8)
    image = level_N[None, :, None].expand(3, length, 5)
    sizes = []

    def recorded(image_CHW, size, *options, **named):
        sizes.append(resize(image_CHW, size, *options, **named))
        return sizes[-1]

    resize = file_batches.resize
    monkeypatch.setattr(file_batches, "resize", recorded)
    fitted = Fit(20, share)(image.mT if lies else image)
    assert fitted.shape == (3, 20, 20)
    assert all(scaled.numel() <= 3 * 20 * 8 * 20 / share**2 for scaled in sizes)
    expected = v2.Compose([v2.Resize(int(20 / share), antialias=True), v2.CenterCrop(20)])(image)
    torch.testing.assert_close((fitted.mT if lies else fitted).int(), expected.int(), atol=2, rtol=0)


def test_a_file_of_one_pixel_by_many_takes_little_memory(tmp_path):
    """At 224 pixels, all of it would take 9 GB."""
    Image.new("RGB", (60_000, 1), (10, 20, 30)).save(tmp_path / "line.png")
    files = ImageFiles.of(tmp_path, ["line.png"], {"class": torch.tensor([0])}, {})
    for options, seed in (({}, None), ({"crop": RandomResizedCrop()}, SEED)):
        samples = FileBatches(files, "class", Fit(224, 0.875), **options)[rows(0), seed]
        assert torch.equal(samples.image[0, :, 100, 100], torch.tensor([10, 20, 30], dtype=torch.uint8))


def test_imagenet_s_usual_evaluation():
    image = torch.randint(0, 256, (3, 300, 400), dtype=torch.uint8, generator=torch.manual_seed(0))
    expected = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    assert torch.equal(Fit(224, 0.875)(image), expected(image))


# --------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("seed", [None, SEED])
def test_without_a_crop_images_are_fitted(seed, files, originals):
    index = rows(3, 3, 19, 0, 7, 11, 12, 13, 14, 15, 16)
    samples = FileBatches(files, "parity", Fit(6, 0.75))[index, seed]
    assert torch.equal(samples.image, torch.stack([Fit(6, 0.75)(originals[row]) for row in index]))
    assert torch.equal(samples.label, index % 2)
    assert torch.equal(samples.index, index)
    assert (samples.seed, samples.key_image, samples.num_replaced) == (seed, None, 0)
    assert samples.image.dtype == torch.uint8
    assert samples.image.is_contiguous(memory_format=torch.channels_last)


def test_grey_images_have_one_channel(squares, tmp_path):
    path = squares().path(tmp_path, "train", 0)
    path.parent.mkdir(parents=True)
    Image.new("L", (6, 6), 77).save(path)
    files = ImageFiles.of(tmp_path, [path], {"class": torch.tensor([0])}, {})
    samples = FileBatches(files, "class", Fit(6), channels=1)[rows(0), None]
    assert torch.equal(samples.image, torch.full((1, 1, 6, 6), 77, dtype=torch.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_image_gets_the_box_that_was_drawn_for_its_own_size(interpolation, files, originals):
    crop = Recorded()
    index = torch.arange(NUM)
    samples = FileBatches(files, "class", Fit(6, 1.0, interpolation), crop=crop)[index, SEED]
    assert crop.told == [list(image.shape[1:]) for image in originals]
    expected = [
        resized_crop(image, *box, [6, 6], InterpolationMode(interpolation), antialias=True)
        for image, box in zip(originals, crop.drawn, strict=True)
    ]
    assert torch.equal(samples.image, torch.stack(expected))
    assert len(set(map(tuple, crop.drawn))) > NUM / 2


def test_crops_follow_from_the_seed(files):
    def batch(seed):
        return FileBatches(files, "class", Fit(6), crop=RandomResizedCrop())[torch.arange(NUM), seed]

    assert same(batch(1), batch(1))
    assert not torch.equal(batch(1).image, batch(2).image)


def test_a_query_s_crop_does_not_depend_on_the_other_images_of_its_batch(files):
    batches = FileBatches(files, "class", Fit(6), crop=RandomResizedCrop())
    index = torch.arange(NUM)
    other = index.clone()
    other[4] = 9
    keep = index != 4
    assert torch.equal(batches[index, SEED].image[keep], batches[other, SEED].image[keep])


def test_the_key_s_crop_is_drawn_apart_from_one_decoding(files, originals, monkeypatch):
    read = []
    decode = file_batches.decode
    monkeypatch.setattr(
        file_batches, "decode", lambda path, *options: read.append(path) or decode(path, *options)
    )
    crop, key_crop = Recorded(), Recorded()
    options = {"crop": crop, "key_crop": key_crop, "key_view": True}
    samples = FileBatches(files, "class", Fit(6), **options)[torch.arange(NUM), SEED]
    assert len(read) == NUM
    expected = [
        resized_crop(image, *box, [6, 6], antialias=True)
        for image, box in zip(originals, key_crop.drawn, strict=True)
    ]
    assert torch.equal(samples.key_image, torch.stack(expected))
    assert sum(a == b for a, b in zip(crop.drawn, key_crop.drawn, strict=True)) < NUM / 2


def test_the_query_does_not_depend_on_the_key(files):
    crop = RandomResizedCrop()
    index = torch.arange(NUM)
    alone = FileBatches(files, "class", Fit(6), crop=crop)[index, SEED]
    assert alone.key_image is None
    for key_crop in (None, RandomResizedCrop(), RandomResizedCrop(scale=(0.5, 0.6))):
        both = FileBatches(files, "class", Fit(6), crop=crop, key_crop=key_crop, key_view=True)[index, SEED]
        assert same(alone, both)


def test_a_view_without_a_crop_is_fitted_beside_one_with(files, originals):
    index = torch.arange(NUM)
    fitted = torch.stack([Fit(6)(image) for image in originals])
    options = {"crop": RandomResizedCrop(), "key_view": True}
    assert torch.equal(FileBatches(files, "class", Fit(6), **options)[index, SEED].key_image, fitted)
    options = {"key_crop": RandomResizedCrop(), "key_view": True}
    samples = FileBatches(files, "class", Fit(6), **options)[index, SEED]
    assert torch.equal(samples.image, fitted)
    assert not torch.equal(samples.key_image, fitted)


def test_a_key_view_without_crops_has_the_query_s_pixels(files):
    assert FileBatches(files, "class", Fit(6), key_view=True)[torch.arange(NUM), SEED].key_image is None


def test_no_global_random_state_is_touched(files, untouched):
    crop = RandomResizedCrop()
    FileBatches(files, "class", Fit(6), crop=crop, key_crop=crop, key_view=True)[torch.arange(NUM), SEED]
    untouched()


# ------------------------------------------------------------------------------------------------ unreadable


def spoil(files, *numbers):
    for number in numbers:
        files.path(number).write_bytes(b"not an image")


def test_an_unreadable_image_makes_the_batch_say_which_and_why(files):
    spoil(files, 12)
    batches = FileBatches(files, "class", Fit(6))
    problem = batches[torch.arange(NUM), None]
    assert isinstance(problem, Unreadable)
    assert str(files.path(12)) in problem.reason
    assert isinstance(batches[rows(11, 13), None], tuple)
    assert not isinstance(batches[rows(11, 13), None], Unreadable)


def test_skipping_takes_the_next_readable_image_with_its_own_label_and_row(files, originals):
    spoil(files, 5, 6, 19)
    samples = FileBatches(files, "class", Fit(6), on_error="skip")[rows(4, 5, 6, 7, 18, 19), None]
    expected = rows(4, 7, 7, 7, 18, 0)
    assert torch.equal(samples.index, expected)
    assert torch.equal(samples.label, expected % 4)
    assert torch.equal(samples.image, torch.stack([Fit(6)(originals[row]) for row in expected]))
    assert samples.num_replaced == 3


def lack_memory(path, *_):
    raise MemoryError


def test_what_nobody_foresaw_names_the_file_and_can_be_skipped(files, monkeypatch):
    victim = files.path(5)
    monkeypatch.setattr(
        file_batches, "decode", lambda path, *o: (lack_memory if path == victim else decode)(path, *o)
    )
    problem = FileBatches(files, "class", Fit(6))[rows(4, 5), None]
    assert problem == Unreadable(f"{victim} cannot be converted (MemoryError).")
    samples = FileBatches(files, "class", Fit(6), on_error="skip")[rows(4, 5), None]
    assert samples.index.tolist() == [4, 6]


def test_large_images_are_unreadable_or_allowed(files):
    assert isinstance(FileBatches(files, "class", Fit(6), max_pixels=107)[rows(0), None], Unreadable)
    assert isinstance(FileBatches(files, "class", Fit(6), max_pixels=108)[rows(0), None], Samples)


def test_skipping_changes_no_other_image_s_crop(files):
    crop = RandomResizedCrop()
    index = torch.arange(NUM)
    before = FileBatches(files, "class", Fit(6), crop=crop)[index, SEED]
    spoil(files, 5)
    after = FileBatches(files, "class", Fit(6), crop=crop, on_error="skip")[index, SEED]
    assert torch.equal(before.image[index != 5], after.image[index != 5])


def test_when_no_image_can_be_read_even_skipping_gives_up(files):
    spoil(files, *range(NUM))
    problem = FileBatches(files, "class", Fit(6), on_error="skip")[rows(3), None]
    assert isinstance(problem, Unreadable)
    assert f"{NUM} images in a row" in problem.reason
    assert str(files.path(2)) in problem.reason  # the last that it tried
