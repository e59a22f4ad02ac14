"""What the terminal shows, and what it keeps to itself."""

import io
import logging
import sys
import warnings

import pytest
from tqdm import tqdm

from ctc_lightning.cli.console import set_up_console


@pytest.fixture
def console(monkeypatch):
    """The console of a fresh process."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    for library in ("pytorch_lightning", "lightning_fabric"):  # have their own where no handler was at import
        monkeypatch.setattr(logging.getLogger(library), "handlers", [])
        monkeypatch.setattr(logging.getLogger(library), "propagate", True)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        set_up_console()
        yield shown


def test_messages_go_to_the_standard_output_of_the_moment(console, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # as Rich does while it shows a bar
    logging.getLogger("ctc_lightning.part").info("epoch 1")
    assert sys.stdout.getvalue() == "epoch 1\n"


def test_a_message_stands_on_a_line_of_its_own_while_tqdm_shows_a_bar(console, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with tqdm(total=2, file=sys.stdout):
        logging.getLogger("ctc_lightning").info("epoch 1")
    lines = sys.stdout.getvalue().replace("\r", "\n").split("\n")
    assert "epoch 1" in lines


@pytest.mark.parametrize("library", ["pytorch_lightning.utilities.rank_zero", "lightning_fabric", "timm"])
def test_libraries_may_warn_but_not_chat(library, console, capsys):
    logging.getLogger(library).info("Tip: try our platform")
    logging.getLogger(library).warning("the loss is not finite")
    assert capsys.readouterr().out == "the loss is not finite\n"


def test_warnings_that_concern_the_run_are_shown(console):
    warnings.warn(
        "The dataloader, train, does not have many workers which may be a bottleneck.", stacklevel=1
    )
    warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`.", stacklevel=1)
    assert [str(warning.message)[:8] for warning in console] == ["Detected"]
