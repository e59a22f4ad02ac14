"""What a CTC epoch costs in CE epochs: glyphs, the real Trainer. ``python benchmarks/epoch_ratio.py``."""

from statistics import median

from glyphs_epochs import TrainerEpochs
from side_by_side import interleave, ratios, spread, start, table, verdict

LIMIT = 1.5

MODELS = {
    "cross-entropy": ["model=ce"],
    "temporal queue": ["model=ctc_queue"],
    "bank, all rows": ["model=ctc_bank"],
    # the first epoch is the first stage, the others, and so every epoch timed, are the second
    "two stages, the second": ["model=ctc_two_stage", "model.stages.instance.epochs=1"],
}


def main() -> None:
    """Time every model's epochs; compare each with cross-entropy's."""
    rounds = start(rounds=7)
    epochs = {name: TrainerEpochs(*overrides) for name, overrides in MODELS.items()}
    whole = interleave(epochs, rounds)
    alone = {name: model.training_alone[1:] for name, model in epochs.items()}
    cost, cost_alone = (
        {name: ratios(seconds[name], seconds["cross-entropy"]) for name in MODELS}
        for seconds in (whole, alone)
    )
    table(
        ("epoch", "seconds", "× cross-entropy", "without validation ×"),
        *((name, spread(whole[name]), spread(cost[name]), spread(cost_alone[name])) for name in MODELS),
    )
    verdict(f"the queue costs at most {LIMIT} × cross-entropy", kept=median(cost["temporal queue"]) <= LIMIT)


if __name__ == "__main__":
    main()
