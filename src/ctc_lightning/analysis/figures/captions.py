"""How to read each figure, in a sentence or two, for those who meet it for the first time."""

# name -> heading, reading aid
READING = {
    "trade_off": (
        "Accuracy over epochs, and the trade-off",
        (
            "Left: test accuracy while training, a panel for each target; a line is the mean of the "
            "seeds, its band runs from the lowest to the highest. Right: each method's path with time; up "
            "is better transfer, right better source accuracy, and a star is where cross-entropy would "
            "have stopped by the targets' validation accuracy."
        ),
    ),
    "best_against_last": (
        "Best epoch against last epoch",
        (
            "Each point is a method on a target: on the diagonal the last epoch is as good as the best "
            "one, and the further below it, the more was lost by training on."
        ),
    ),
    "drop": (
        "Drop from peak to end",
        (
            "A bar is how many points of accuracy were lost between the best epoch (chosen on validation) "
            "and the last one; no bar: nothing was lost."
        ),
    ),
    "log_odds": (
        "All targets in one number: mean log-odds",
        (
            "The mean over targets of ln(p / (1 − p)), which is 0 at an accuracy of 50 %; higher is "
            "better, and halving the error counts the same on a target that is nearly solved as on any "
            "other."
        ),
    ),
    "grid": (
        "The grid of the sweep",
        (
            "A cell for each pair of values: the mean of the seeds at the end of training, on test images. "
            "Left source accuracy, right transfer; each map has its own colours. Framed cells are on the "
            "Pareto front: no other is as good in both and better in one."
        ),
    ),
    "pareto": (
        "The sweep's Pareto front",
        (
            "A point for each pair of values, up is better transfer, right better source accuracy; the "
            "dashed line joins those that no other beats in both."
        ),
    ),
    "ranking": (
        "Scores that need no training",
        (
            "The further right a score's dot, the better it orders checkpoints by what they measurably "
            "transfer; 0 is chance."
        ),
    ),
    "information": (
        "Information over epochs",
        (
            "How much the features still tell of the image, I(X;T), and of labels, I(T;Y), in nats, each a "
            "held-out estimate; a line is the mean of the seeds, its band runs from the lowest to the "
            "highest, a light area reaches up to the estimator's upper bound where it has one. A hollow mark "
            "is near the most that its estimator can answer. Noise of size σ, in units of the features' root "
            "mean square deviation, makes I(X;T_σ) finite."
        ),
    ),
    "information_plane": (
        "Information plane",
        (
            "A method's path through training, time as colour: right is more information on the image, up "
            "is more on its label, and a path that turns left compresses. Thick: the mean of the seeds, "
            "which are thin; the large mark is the end; grey are the other methods."
        ),
    ),
}
