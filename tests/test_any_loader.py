"""A bare Trainer and ordinary loaders train the module as our data module does."""

from copy import deepcopy
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import FakeData

from ctc_lightning.batch import Batch
from ctc_lightning.batch_forms import parts_of
from ctc_lightning.contrast import InfoNCE
from ctc_lightning.data import Digits, IndexedDataset
from ctc_lightning.data.labels import labels_of
from ctc_lightning.key_encoder import FrozenEncoder, MomentumEncoder, QueryEncoder
from ctc_lightning.memory import BatchMemory, KeyQueue, MemoryBank
from ctc_lightning.module import CTCModule
from ctc_lightning.networks import LinearProjector, create_network
from ctc_lightning.optim import Cosine
from ctc_lightning.stage import Stage

N, B = 24, 8
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def stages(method):
    if method == "ce":
        return {"only": Stage()}
    if method == "two stages":
        bank = Stage(1, 0.5, key_encoder=QueryEncoder(), memory=MemoryBank(0.5), contrast=InfoNCE(0.1))
        frozen = {"key_encoder": FrozenEncoder(), "memory": MemoryBank(0.5), "contrast": InfoNCE(0.1)}
        return {"instance": bank, "temporal": Stage(None, refresh=True, **frozen)}
    memory = {
        "queue": partial(KeyQueue, 20),
        "bank": partial(MemoryBank, 0.5),
        "class bank": partial(MemoryBank, 0.5, exclude="class"),
        "batch": BatchMemory,
    }[method]()
    return {"only": Stage(weight=0.5, key_encoder=MomentumEncoder(0.9), memory=memory, contrast=InfoNCE(0.1))}


def module(method, channels=1, **options):
    torch.manual_seed(0)
    projector = None if method == "ce" else partial(LinearProjector, dim=8)
    network = create_network(
        backbone="cifar/resnet8",
        num_classes=10,
        image_channels=channels,
        projector=projector,
        channels_last=True,
    )
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return CTCModule(network, stages(method), sgd, Cosine(), **options)


def images(num=N):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 1, 8, 8, generator=generator), torch.arange(num) % 10


def indexed(num=N):
    return IndexedDataset(TensorDataset(*images(num)))


def fit(made, loader, max_epochs=2, **options):
    torch.manual_seed(1)
    trainer = pl.Trainer(max_epochs=max_epochs, **QUIET | options)
    trainer.fit(made, loader)
    return made


# --------------------------------------------------------------------------------- the same as our own data


class Same(Dataset):
    """What a data module shows in each epoch, image by image: views, label, number."""

    def __init__(self, batches):
        self.items = [tuple(row) for batch in batches for row in zip(*batch, strict=True)]

    def __len__(self):
        return N

    def __getitem__(self, place):
        view, key_view, label, index = self.items[place]
        return [view, key_view], label, int(index)


class InThisOrder:
    """Numbers 0 to N−1, in the next epoch N to 2N−1."""

    def __init__(self):
        self.epoch = -1

    def __len__(self):
        return N

    def __iter__(self):
        self.epoch += 1
        return iter(range(self.epoch * N, (self.epoch + 1) * N))


@pytest.mark.parametrize("method", ["ce", "queue", "bank", "batch"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_same_images_in_the_same_order_give_the_same_weights(method, accumulate):
    data = Digits(source_label="digit", num_train=N, num_val=10, num_test=10, batch_size=B)
    data.setup()
    told = module(method, label_N=data.train_label, max_epochs=2)
    begun, batches = deepcopy(told.state_dict()), []

    class Keep(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            batches.append(batch)

    options = {"accumulate_grad_batches": accumulate, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(max_epochs=2, use_distributed_sampler=False, callbacks=[Keep()], **QUIET | options)
    trainer.fit(told, data)

    class Begin(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.load_state_dict(begun)

    loader = DataLoader(Same(batches), batch_size=B, sampler=InThisOrder())
    loader.label_N = data.train_label
    learnt = fit(module(method), loader, callbacks=[Begin()], **options)
    torch.testing.assert_close(learnt.state_dict(), told.state_dict(), rtol=0, atol=0)


def test_our_data_module_needs_no_more_than_the_trainer():
    data = Digits(source_label="digit", num_train=N, num_val=10, num_test=10, batch_size=B)
    made = fit(module("two stages"), data, use_distributed_sampler=False)
    assert made.stages["temporal"].memory.label_N.tolist() == data.train_label.tolist()
    assert made.global_batch == B


# -------------------------------------------------------------------------------------------------- forms


def view(num=4, size=8):
    return torch.rand(num, 3, size, size)


@pytest.mark.parametrize("has_index", [False, True])
@pytest.mark.parametrize("form", ["pair", "views", "dict", "hugging face", "views in a dict"])
def test_forms_of_batches(form, has_index):
    one, two, label, index = view(), view(), torch.arange(4), torch.arange(4) + 7
    batch = {
        "pair": [one, label],
        "views": ([one, two], label),
        "dict": {"image": one, "key_view": two, "label": label},
        "hugging face": {"pixel_values": one, "labels": label},
        "views in a dict": {"image": [one, two], "target": label},
    }[form]
    if has_index:
        batch = {**batch, "index": index} if isinstance(batch, dict) else [*batch, index]
    parts = parts_of(batch)
    assert parts.view is one
    assert parts.key_view is (one if form in ("pair", "hugging face") else two)
    assert parts.label is label
    assert parts.index is (index if has_index else None)


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        ([[view()] * 3, torch.arange(4)], r"the loader yields lists of 2 parts \(list, Tensor\); it must"),
        ({"x": view()}, "the loader yields a dict with x; it must yield"),
        ("text", "the loader yields str; it must yield"),
        ([view().mul(255).byte(), torch.arange(4)], r"the images are torch.uint8 of shape \(4, 3, 8, 8\)"),
        ([torch.rand(4, 64), torch.arange(4)], r"of shape \(4, 64\); they must be floats of shape \(B, C"),
        ([[view(), view(size=6)], torch.arange(4)], r"the views have shapes \(4, 3, 8, 8\) and"),
        ([view(), torch.rand(4)], r"the labels are torch.float32 .* whole numbers of shape \(4,\)"),
        ([view(), torch.zeros(4, 10, dtype=int)], r"the labels are torch.int64 of shape \(4, 10\)"),
        ([view()], "the loader yields no labels"),
        ([view(), torch.tensor([0, 1, 2, 10])], "the label 10; the classifier has 10 classes, 0 to 9"),
        ([view(), torch.tensor([0, 1, 2, -1])], "the label -1; the classifier has 10 classes"),
        ([torch.rand(4, 2, 8, 8), torch.arange(4)], r"does not take images of shape \(2, 8, 8\)"),
        ([view(1), torch.tensor([0])], "a batch has 1 image, and BatchNorm needs at least 2: set drop_last"),
    ],
)
def test_a_batch_that_cannot_be_trained_on_is_one_sentence(batch, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        module("queue", channels=3).read(batch)
    assert "\n" not in str(caught.value)


def test_a_batch_is_read_once_and_not_kept():
    made = module("queue", channels=3)
    batch = [view(), torch.arange(4)]
    first = made.read(batch)
    assert made.read(batch) is first
    assert isinstance(first, Batch)
    made.read.clear()
    again = made.read(batch)
    assert not set(first.index.tolist()) & set(again.index.tolist()), "every image counts as another one"


def test_without_image_numbers_a_queue_warns_once(caplog):
    fit(module("queue"), DataLoader(TensorDataset(*images()), B))
    (record,) = [record for record in caplog.records if "image numbers" in record.message]
    assert "IndexedDataset(dataset)" in record.message


# ------------------------------------------------------------------------------------------------- loaders


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*images(), strict=True))


@pytest.mark.parametrize("method", ["ce", "queue", "bank", "class bank", "two stages"])
@pytest.mark.parametrize("size", [8, 7, 24, 5])
def test_last_batches_of_any_size(method, size):
    made = fit(module(method), DataLoader(indexed(), size, shuffle=True))
    assert made.trainer.global_step == 2 * -(-N // size)
    if method == "two stages":
        assert made.stages["temporal"].memory.label_N.tolist() == images()[1].tolist()


@pytest.mark.slow
def test_several_workers_see_every_image():
    made = fit(module("bank"), DataLoader(indexed(), B, num_workers=2, persistent_workers=True))
    moved = fit(module("bank"), DataLoader(indexed(), B))
    torch.testing.assert_close(made.state_dict(), moved.state_dict(), rtol=0, atol=0)


def test_a_torchvision_data_set():
    from torchvision.transforms import ToTensor

    data = FakeData(N, (3, 8, 8), 10, ToTensor())
    fit(module("bank", channels=3), DataLoader(IndexedDataset(data), B))


def test_a_stream_trains_for_the_steps_of_the_trainer():
    made = fit(module("queue"), DataLoader(Stream(), B), max_epochs=-1, max_steps=5)
    assert made.trainer.global_step == 5
    assert made.trainer.optimizers[0].param_groups[0]["lr"] < 0.05, "the cosine falls"


def test_batches_that_were_made_before():
    view_N, label_N = images()
    batches = list(zip(view_N.split(B), label_N.split(B), strict=True))
    made = fit(module("queue"), DataLoader(batches, batch_size=None), accumulate_grad_batches=2)
    assert made.trainer.global_step == 2 * 2
    assert made.global_batch is None


def test_labels_are_found_without_reading_an_image():
    view_N, label_N = images()
    data = TensorDataset(view_N, label_N)
    assert labels_of(Subset(data, [3, 1])).tolist() == [3, 1]
    assert labels_of(data + Subset(data, [3])).tolist() == [*label_N.tolist(), 3]
    assert labels_of(IndexedDataset(data)).tolist() == label_N.tolist()
    assert labels_of(IndexedDataset(FakeData(3), targets=[2, 0, 1])).tolist() == [2, 0, 1]
    assert labels_of(FakeData(3)) is None


def loader(num=N, size=B, targets=None, **options):
    return DataLoader(IndexedDataset(TensorDataset(*images(num)), targets), size, **options)


@pytest.mark.parametrize(
    ("method", "made_loader", "sentence"),
    [
        ("bank", lambda: DataLoader(TensorDataset(*images()), B), r"MemoryBank .* IndexedDataset\(dataset\)"),
        ("bank", lambda: DataLoader(Stream(), B), "the training loader does not know how many images"),
        ("class bank", lambda: DataLoader(IndexedDataset(FakeData(N)), B), r"dataset, targets=labels\)"),
        ("bank", lambda: DataLoader(Subset(indexed(), range(12, 24)), B), "an image has the number"),
        ("queue", lambda: loader(6, drop_last=True), "loader has 0 batches; it must have at least 1"),
        ("queue", lambda: loader(N, 23), "the last training batch has 1 image, and BatchNorm needs at least"),
        ("ce", lambda: loader(targets=[3] * N), "all 24 training images have the label 3"),
        ("ce", lambda: loader(targets=[*range(N)]), "has the label 10; the classifier has 10 classes"),
        ("queue", lambda: DataLoader(Stream(), B), "has no length, .* max_steps=N"),
    ],
)
def test_a_loader_that_cannot_be_trained_on_is_refused_before_the_first_step(method, made_loader, sentence):
    made = module(method)
    with pytest.raises(ValueError, match=sentence) as caught:
        fit(made, made_loader())
    assert "\n" not in str(caught.value)
    assert made.trainer.global_step == 0


def test_a_bank_is_resumed_only_with_as_many_images(tmp_path):
    made = fit(module("bank"), loader())
    made.trainer.save_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    del content["state_dict"]["stages.only.memory.label_N"]
    torch.save(content, tmp_path / "unlabelled.ckpt")
    for num, file in ((16, "x"), (32, "x"), (16, "unlabelled"), (32, "unlabelled")):
        refused = f"bank has 24 rows and the training loader {num} images; resume"
        with pytest.raises(ValueError, match=refused):
            pl.Trainer(max_epochs=3, **QUIET).fit(
                module("bank"), loader(num), ckpt_path=tmp_path / f"{file}.ckpt"
            )
    other = module("bank")
    pl.Trainer(max_epochs=3, **QUIET).fit(other, loader(), ckpt_path=tmp_path / "x.ckpt")
    assert other.trainer.global_step == 9
