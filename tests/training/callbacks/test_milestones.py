"""Checkpoints to look back at, by name."""

from types import SimpleNamespace

import pytest

from ctc_lightning.stage import Stage, StageSchedule
from ctc_lightning.training.callbacks import MilestoneCheckpoint


@pytest.fixture
def names(tmp_path):
    """A function: what is saved, in order, of a run with these stages."""

    def saved(every_n_epochs, max_epochs, stages, also_at=(), start=0):
        paths = []
        module = SimpleNamespace(stage_schedule=StageSchedule(stages, max_epochs))
        callback = MilestoneCheckpoint(tmp_path, every_n_epochs, also_at)
        callback.on_train_start(
            SimpleNamespace(
                current_epoch=start,
                global_step=10 * start,
                max_epochs=max_epochs,
                save_checkpoint=paths.append,
            ),
            module,
        )
        for epoch in range(start, max_epochs):
            trainer = SimpleNamespace(
                current_epoch=epoch, max_epochs=max_epochs, save_checkpoint=paths.append
            )
            callback.on_train_epoch_end(trainer, module)
        assert {path.parent for path in paths} == {tmp_path}
        return [path.name for path in paths]

    return saved


def test_every_n_finished_epochs_the_last_and_each_stages_end(names):
    stages = {"instance": Stage(epochs=4), "temporal": Stage()}
    assert names(3, 7, stages) == [
        "epoch_003.ckpt",
        "stage_instance.ckpt",
        "epoch_006.ckpt",
        "epoch_007.ckpt",
        "stage_temporal.ckpt",
    ]


def test_the_last_epoch_is_saved_once_where_it_is_also_an_nth(names):
    assert names(2, 4, {"classify": Stage()}) == ["epoch_002.ckpt", "epoch_004.ckpt", "stage_classify.ckpt"]


def test_chosen_epochs_too_and_each_once(names):
    assert names(4, 5, {"classify": Stage()}, also_at=[1, 4, 5, 9]) == [
        "epoch_001.ckpt",
        "epoch_004.ckpt",
        "epoch_005.ckpt",
        "stage_classify.ckpt",
    ]


def test_epoch_0_is_the_network_before_its_first_step_and_not_that_of_a_resumed_run(names):
    stages = {"classify": Stage()}
    assert names(2, 2, stages, also_at=[0]) == ["epoch_000.ckpt", "epoch_002.ckpt", "stage_classify.ckpt"]
    assert names(2, 2, stages, also_at=[0], start=1) == ["epoch_002.ckpt", "stage_classify.ckpt"]
    assert "epoch_000.ckpt" not in names(2, 2, stages)


@pytest.mark.parametrize("every_n_epochs", [0, -1])
def test_a_period_below_one_epoch_is_refused(every_n_epochs):
    with pytest.raises(ValueError, match=f"every_n_epochs is {every_n_epochs}; it must be a whole number"):
        MilestoneCheckpoint("checkpoints", every_n_epochs)
