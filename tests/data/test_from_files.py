"""The data module of files decoded by workers: what a batch holds, exact epochs, errors, a real resume."""

import logging
import multiprocessing
import subprocess
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import rank_zero_only

from ctc_lightning.batch import Batch
from ctc_lightning.data import Compose, FileDataModule, HorizontalFlip, RandomCrop, RandomResizedCrop, workers
from ctc_lightning.data.file_batches import Fit

COUNTS = {"train": 26, "val": 10, "test": 8}
VIEWS = {"train_dataloader": "train", "memory_dataloader": "train"}
EVALUATION = {"val_dataloader": "val", "test_dataloader": "test"}


def recipe():
    return Compose(crop=RandomResizedCrop(), flip=HorizontalFlip())


@pytest.fixture
def make(squares, tmp_path):
    """A data module whose standardised pixels are the pixels themselves, 0 to 255."""

    def make(collection=None, *, setup=True, **options):
        options = {
            "augmentation": recipe(),
            "key_augmentation": recipe(),
            "image_size": 6,
            "mean": [0.0] * 3,
            "std": [1 / 255] * 3,
            "crop_share": 1.0,
            "batch_size": 8,
            "eval_batch_size": 4,
            "num_workers": 0,
            **options,
        }
        data = FileDataModule(
            name="squares",
            collection=collection or squares(**COUNTS),
            root=str(tmp_path),
            cache_dir=str(tmp_path / "cache"),
            **options,
        )
        if setup:
            data.setup()
        return data

    return make


@pytest.fixture
def colours(squares, tmp_path):
    """Images that show their number whatever is cropped out of them."""
    collection = squares(**COUNTS)
    collection.draw(tmp_path, (9, 12))
    return collection


@pytest.fixture
def noise(squares, tmp_path):
    """Images of which no two crops are alike."""
    collection = squares(**COUNTS)
    collection.draw_noise(tmp_path, (9, 12))
    return collection


def on_rank(data, rank, world_size, device="cpu"):
    """Let a data module believe that it is one of several."""
    data.trainer = SimpleNamespace(
        world_size=world_size,
        global_rank=rank,
        num_devices=world_size,
        precision_plugin=Precision(),
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )
    return data


def ready(data, loader, epoch=0):
    """An epoch of a loader, as the training step gets it."""
    loader.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(samples, 0) for samples in loader]


def batches(data, loader="train_dataloader", epoch=0):
    return ready(data, getattr(data, loader)(), epoch)


def numbers(view):
    """Which image of its split each view is of."""
    number_B = view[:, 0, 0, 0].round()
    colour_B3 = torch.stack([number_B, 255 - number_B, 2 * number_B], 1)
    torch.testing.assert_close(view, colour_B3[:, :, None, None].expand_as(view), atol=1e-2, rtol=0)
    return number_B.long()


def rows(seen):
    return torch.cat([batch.index for batch in seen]).tolist()


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


# --------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("loader", [*VIEWS, *EVALUATION])
def test_views_labels_and_rows_belong_together(loader, num_workers, make, colours):
    data = make(num_workers=num_workers)
    for batch in batches(data, loader):
        assert isinstance(batch, Batch)
        assert torch.equal(numbers(batch.view), batch.index)
        assert torch.equal(numbers(batch.key_view), batch.index)
        assert torch.equal(batch.label, batch.index % 4)
        assert batch.view.shape[1:] == batch.key_view.shape[1:] == data.image_shape == (3, 6, 6)
        assert batch.view.dtype == torch.float32
        assert batch.view.is_contiguous(memory_format=torch.channels_last)


def test_what_the_network_needs_comes_from_the_data(make, colours):
    data = make(source_label="parity", mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6], image_size=5)
    assert (data.num_images, data.num_classes, data.classes) == (26, 2, ("even", "odd"))
    assert (data.image_shape, data.targets) == ((3, 5, 5), {"class": "source"})
    torch.testing.assert_close(data.mean, torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(data.std, torch.tensor([0.4, 0.5, 0.6]))
    assert torch.equal(data.train_label, torch.arange(26) % 2)


def test_the_two_views_are_cropped_apart(make, noise):
    data = make()
    for batch in batches(data):
        assert not (batch.view == batch.key_view).flatten(1).all(1).any()
    epochs = [batches(data, "memory_dataloader", epoch) for epoch in range(2)]  # the same rows
    for one, other in zip(*epochs, strict=True):
        assert not (one.view == other.view).flatten(1).all(1).any()
        assert not (one.key_view == other.key_view).flatten(1).all(1).any()


def test_without_key_augmentation_the_key_sees_the_very_same_tensor(make, noise):
    for loader in (*VIEWS, *EVALUATION):
        assert all(batch.key_view is batch.view for batch in batches(make(key_augmentation=None), loader))


def test_the_query_does_not_depend_on_the_key(make, noise):
    both, one = batches(make()), batches(make(key_augmentation=None))
    assert all(torch.equal(a.view, b.view) for a, b in zip(both, one, strict=True))


def test_an_augmentation_without_a_resized_crop_works_on_fitted_images(make, noise, pixels_of):
    data = make(augmentation=HorizontalFlip(), key_augmentation=RandomCrop(1))
    files = data.image_sets["source"]["train"]
    flipped = []
    for batch in batches(data):
        for view, index in zip(batch.view.round(), batch.index.tolist(), strict=True):
            fitted = Fit(6)(pixels_of(files.path(index))).float()
            flipped.append(torch.equal(view, fitted.flip(2)))
            assert flipped[-1] or torch.equal(view, fitted)
        assert not torch.equal(batch.view, batch.key_view)
    assert 0 < sum(flipped) < len(flipped)


@pytest.mark.parametrize("loader", EVALUATION)
def test_evaluation_shows_every_image_once_in_order_and_fitted(loader, make, noise, pixels_of):
    data = make(crop_share=0.75)
    files = data.image_sets["source"][EVALUATION[loader]]
    seen = batches(data, loader)
    assert rows(seen) == list(range(len(files)))
    expected = torch.stack([Fit(6, 0.75)(pixels_of(files.path(row))) for row in range(len(files))])
    assert torch.equal(torch.cat([batch.view for batch in seen]).round(), expected.float())
    assert max(len(batch.index) for batch in seen) <= 4


def test_evaluation_outside_the_trainer_s_loops(make, colours):
    seen = list(make(num_workers=1).evaluation_batches("source", "test", torch.device("cpu")))
    assert rows(seen) == numbers(torch.cat([batch.view for batch in seen])).tolist() == list(range(8))


# ---------------------------------------------------------------------------------------------------- epochs


@pytest.mark.parametrize("loader", VIEWS)
def test_epochs_follow_from_seed_and_epoch_whatever_the_number_of_workers(loader, make, noise):
    expected = [batches(make(), loader, epoch) for epoch in range(3)]
    assert not same(expected[0], expected[1])
    assert not same(batches(make(seed=1), loader), expected[0])
    for num_workers in (1, 2):
        data = make(num_workers=num_workers)
        kept = getattr(data, loader)()  # the same workers for all epochs
        for epoch in (2, 0, 1):
            assert same(ready(data, kept, epoch), expected[epoch])


def test_an_interrupted_epoch_does_not_disturb_the_next(make, noise):
    data = make(num_workers=2, prefetch_factor=1)
    loader = data.train_dataloader()
    next(iter(loader))
    assert same(ready(data, loader, epoch=1), batches(make(), epoch=1))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("loader", [*VIEWS, *EVALUATION])
def test_ranks_share_an_epoch(loader, drop_last, make, colours):
    """Two ranks see, batch for batch, the rows that one rank of twice the batch size sees."""
    one = batches(make(batch_size=8, eval_batch_size=8, drop_last=drop_last), loader)
    ranks = [
        batches(on_rank(make(batch_size=4, eval_batch_size=4, drop_last=drop_last), rank, 2), loader)
        for rank in range(2)
    ]
    for batch, *parts in zip(one, *ranks, strict=True):
        assert rows(parts) == batch.index.tolist()
        for part in parts:
            assert torch.equal(numbers(part.view), part.index)
    seen = rows([batch for rank in ranks for batch in rank])
    assert len(set(seen)) == len(seen)


def test_incomplete_batches_are_dropped_or_spread(make, colours):
    assert [len(batch.index) for batch in batches(make(drop_last=True))] == [8, 8, 8]
    spread = batches(make(drop_last=False))
    assert sorted(rows(spread)) == list(range(26))
    assert sorted(len(batch.index) for batch in spread) == [6, 6, 7, 7]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_no_global_random_state_is_touched(num_workers, make, noise, untouched):
    data = make(num_workers=num_workers)
    for loader in (*VIEWS, *EVALUATION):
        batches(data, loader)
    untouched()


def test_memory_is_pinned_where_a_gpu_trains_and_nowhere_else(make, colours):
    assert not make().train_dataloader().pin_memory
    assert not on_rank(make(), 0, 1).train_dataloader().pin_memory
    assert on_rank(make(), 0, 1, "cuda").train_dataloader().pin_memory


def test_workers_stay_and_prefetch(make, colours):
    loader = make(num_workers=2, prefetch_factor=3).train_dataloader()
    assert (loader.num_workers, loader.persistent_workers, loader.prefetch_factor) == (2, True, 3)


def test_too_little_shared_memory_is_said_once_before_the_first_batch(make, noise, monkeypatch, caplog):
    """Two views of 8 x 3 x 6 x 6 bytes, 2 x 3 batches and the one that stays free."""
    needed = 7 * 2 * 8 * 3 * 6 * 6
    for free, num_lines in ((needed, 0), (needed - 1, 1)):
        monkeypatch.setattr(workers, "free_shared_memory", lambda free=free: free)
        data = make(num_workers=2, prefetch_factor=3)
        data.train_dataloader(), data.train_dataloader()
        lines = [record.getMessage() for record in caplog.records if "--shm-size" in record.getMessage()]
        assert len(lines) == num_lines
    assert lines[0].startswith("data=squares: ")
    assert "6 batches" in lines[0]


# ------------------------------------------------------------------------------------------------ unreadable


@pytest.fixture
def broken(colours, tmp_path):
    """Training images 6 and 25, the last, are no images."""
    for number in (6, 25):
        colours.path(tmp_path, "train", number).write_bytes(b"not an image")
    return [colours.path(tmp_path, "train", number) for number in (6, 25)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_image_stops_with_one_sentence_that_names_it(num_workers, broken, make, one_sentence):
    data = make(num_workers=num_workers)
    yielded = list(data.memory_dataloader())  # apart: an error that refers to workers keeps them alive
    with pytest.raises(ValueError, match=r"data\.on_error=skip") as error:
        data.on_after_batch_transfer(yielded[0], 0)
    one_sentence(error, broken[0], "repair or remove")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skipping_replaces_and_counts(num_workers, broken, make):
    data = make(num_workers=num_workers, on_error="skip")
    seen = batches(data, "memory_dataloader")
    expected = list(range(26))
    expected[6], expected[25] = 7, 0
    assert rows(seen) == numbers(torch.cat([batch.view for batch in seen])).tolist() == expected
    assert torch.cat([batch.label for batch in seen]).tolist() == [row % 4 for row in expected]
    assert data.num_replaced == 2
    batches(data, "memory_dataloader", epoch=1)
    assert data.num_replaced == 4


def test_where_skipping_finds_no_image_it_does_not_advise_to_skip(make, colours, tmp_path, one_sentence):
    for number in range(8):
        colours.path(tmp_path, "test", number).write_bytes(b"")
    with pytest.raises(ValueError, match="8 images in a row") as error:
        batches(make(on_error="skip"), "test_dataloader")
    one_sentence(error, colours.path(tmp_path, "test", 7))
    assert "on_error" not in str(error.value)


def test_a_full_check_refuses_before_training_and_a_scan_does_not(broken, make, one_sentence):
    make(check="scan")
    with pytest.raises(ValueError, match="2 of 26 files") as error:
        make(check="full")
    one_sentence(error, *broken)


def test_a_full_check_is_the_first_rank_s(broken, make, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    make(check="full")
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    with pytest.raises(ValueError, match="2 of 26 files") as error:
        make(check="full")
    assert all(str(path) in str(error.value) for path in broken)


def test_a_full_check_only_warns_where_images_are_skipped(broken, make, caplog):
    with caplog.at_level(logging.WARNING):
        data = make(check="full", on_error="skip")
    assert "2 of 26 files" in caplog.text
    assert len(batches(data)) == 3


def test_a_full_check_passes_whole_files(make, colours):
    assert len(batches(make(check="full"))) == 3


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("option", ["augmentation", "key_augmentation"])
@pytest.mark.parametrize("before", [[], [HorizontalFlip()]], ids=["first", "later"])
def test_a_crop_to_another_size_is_refused_not_ignored(option, before, colours, make, one_sentence):
    make(**{option: Compose(*before, RandomResizedCrop(6))})
    with pytest.raises(ValueError, match=option) as error:
        make(**{option: Compose(*before, RandomResizedCrop(7))})
    one_sentence(error, "7 pixels", "the 6", "null")


def test_a_data_set_in_one_file_is_refused_with_what_to_use(arrays, colours, make, one_sentence):
    with pytest.raises(ValueError, match="file of its own") as error:
        make(arrays(**COUNTS))
    one_sentence(error, "data=squares", "CachedDataModule")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"crop_share": 0}, ("crop_share is 0", "above 0")),
        ({"crop_share": 1.1}, ("crop_share is 1.1", "at most 1")),
        ({"prefetch_factor": 0}, ("prefetch_factor is 0", "at least 1")),
        ({"worker_timeout": 0}, ("worker_timeout is 0", "above 0", "null")),
        ({"check": "none"}, ("check is 'none'", "'scan', 'full'")),
    ],
)
def test_refuses_wrong_options(option, words, make, one_sentence):
    with pytest.raises(ValueError, match="is ") as error:
        make(setup=False, **option)
    one_sentence(error, *words)


# --------------------------------------------------------------------------------------- with a real trainer


class Recorder(pl.LightningModule):
    """Learns nothing worth having and keeps every training batch."""

    def __init__(self):
        super().__init__()
        self.classifier = torch.nn.Linear(108, 4)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch))
        return torch.nn.functional.cross_entropy(self.classifier(batch.view.flatten(1) / 255), batch.label)

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(max_epochs, folder):
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=max_epochs,
        use_distributed_sampler=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=1,
        default_root_dir=folder,
    )


def test_a_resumed_run_sees_what_the_uninterrupted_one_sees(make, noise, tmp_path):
    whole = Recorder()
    trainer(3, tmp_path).fit(whole, datamodule=make(setup=False, num_workers=1))
    first = trainer(1, tmp_path)
    first.fit(Recorder(), datamodule=make(setup=False, num_workers=2))
    first.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = Recorder()
    again = make(setup=False, num_workers=1)
    trainer(3, tmp_path).fit(resumed, datamodule=again, ckpt_path=tmp_path / "stopped.ckpt")
    expected = [(epoch, batch) for epoch, batch in whole.seen if epoch >= 1]
    assert [epoch for epoch, _ in resumed.seen] == [epoch for epoch, _ in expected] == [1, 1, 1, 2, 2, 2]
    assert same([batch for _, batch in resumed.seen], [batch for _, batch in expected])
    data = make()
    assert same([batch for _, batch in expected], batches(data, epoch=1) + batches(data, epoch=2))


def test_a_run_stops_at_an_unreadable_image_and_names_it(broken, make, tmp_path):
    data = make(setup=False, num_workers=1, drop_last=False)
    with pytest.raises(ValueError, match="not an image") as error:
        trainer(1, tmp_path).fit(Recorder(), datamodule=data)
    assert any(str(path) in str(error.value) for path in broken)


def test_workers_outlive_a_signal_to_the_whole_job(make, noise):
    """SLURM sends it to all processes of a step; the training itself goes on to where it can save."""
    before = set(multiprocessing.active_children())
    loader = make(num_workers=1, prefetch_factor=1).train_dataloader()
    found = iter(loader)
    next(found)
    (worker,) = set(multiprocessing.active_children()) - before
    for number in ("TERM", "USR1"):  # by a stranger: a parent's signal is another thing to torch
        subprocess.run(["kill", f"-{number}", str(worker.pid)], check=True)
    assert 1 + len(list(found)) == len(loader)
