"""The private names of other packages that we use exist, and are used in one file alone."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import pytorch_lightning as pl
from hydra.utils import get_class
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed as dist

import ctc_lightning
from ctc_lightning.training import private_names

PACKAGE = Path(ctc_lightning.__file__).parent
ALLOWED = {"_replace", "_asdict", "_fields"}  # public, of named tuples
ALLOWED |= {"_image_files", "_labels"}  # torchvision's, which data/listed.py explains
OTHERS = ("torch", "pytorch_lightning", "lightning_fabric", "wandb")
# A value of each class whose private names `private_names` reads
TRAINER = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
EPOCH_LOOP = TRAINER.fit_loop.epoch_loop
USED = {
    "_accelerator_connector": TRAINER,
    "_data_source": TRAINER.fit_loop,
    "_ddp_kwargs": DDPStrategy(),
    "_layer_sync": DDPStrategy(),
    "_broadcast_sigterm_tensor": EPOCH_LOOP,
    "_should_check_val_epoch": EPOCH_LOOP,
    "_batches_that_stepped": EPOCH_LOOP,
    "_last_global_step_saved": ModelCheckpoint(),
    "_get_default_store": dist.distributed_c10d,
}


def private_attributes(tree):
    """Names with one leading underscore that are read from anything but self and cls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            owner = node.value.id if isinstance(node.value, ast.Name) else None
            if owner not in ("self", "cls"):
                yield node.attr


def private_imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OTHERS:
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if name.startswith("_") and not name.startswith("__"))


def parsed(file):
    return ast.parse(file.read_text())


def defined(tree):
    """Names that our own code gives to functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@pytest.mark.parametrize("name", USED)
def test_a_name_that_is_read_exists(name):
    assert hasattr(USED[name], name), f"{type(USED[name]).__name__}.{name} is gone"


def test_every_name_that_the_file_reads_is_tested():
    assert set(private_attributes(parsed(Path(private_names.__file__)))) == USED.keys()


@pytest.mark.parametrize("name", private_names.OVERRIDDEN)
def test_a_name_that_is_overridden_exists(name):
    path, own = name.rsplit(".", 1)
    named = get_class(path)
    sources = [inspect.getsource(base) for base in named.__mro__ if base.__module__.startswith(OTHERS)]
    assert hasattr(named, own) or any(f"self.{own}" in source for source in sources), f"{name} is gone"


def test_wandb_still_knows_the_setting_that_is_set_by_name():
    wandb = pytest.importorskip("wandb")
    assert hasattr(wandb.Settings(), private_names.WANDB_FLUSH_SECONDS)


def test_no_other_file_uses_private_names_of_these_packages():
    for file in PACKAGE.rglob("*.py"):
        if file == Path(private_names.__file__):
            continue
        tree = parsed(file)
        assert not [*private_imports(tree)], file
        if re.search(rf"^(from|import) ({'|'.join(OTHERS)})\b", file.read_text(), re.MULTILINE):
            assert not {*private_attributes(tree)} - {*defined(tree)} - ALLOWED, file
