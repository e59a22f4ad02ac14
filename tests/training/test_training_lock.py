"""One training at a time in a run directory."""

import contextlib

import pytest

from ctc_lightning.training.training_lock import is_in_training, training_lock


def test_it_is_held_by_one_training_and_released_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("ctc_lightning.training.training_lock._PATIENCE", 0.0)
    run_dir = tmp_path / "run"
    assert not is_in_training(run_dir)
    for error in (KeyboardInterrupt, None):
        training = training_lock(run_dir)
        training.__enter__()
        assert is_in_training(run_dir)
        with training_lock(run_dir, needed=False):  # another rank
            pass
        refused = f"^{run_dir} is in use by another training; wait until it ends, or choose another"
        with pytest.raises(ValueError, match=refused):
            training_lock(run_dir).__enter__()
        with contextlib.suppress(KeyboardInterrupt):
            training.__exit__(error, error and error(), None)
        assert not is_in_training(run_dir)
