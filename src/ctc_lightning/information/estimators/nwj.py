"""NWJ, the f-GAN bound of the Kullback-Leibler divergence. B: pairs, K: draws of y from the marginal."""

from torch import Tensor

from ctc_lightning.information.estimators.neural import NeuralEstimator
from ctc_lightning.information.estimators.scores import Scores, log_mean_exp


class NWJ(NeuralEstimator):
    """I(x; y) ≥ E_joint[T] − e⁻¹ E_marginals[e^T], largest for T = 1 + log p(x, y)/(p(x) p(y)).

    A lower bound in expectation for every T, as no logarithm is taken of a mean. Its variance grows like e^I.
    The critic stands for T − 1, so that it starts at a bound of about 0. In the end a constant is added to it
    that makes E_marginals[e^(T − 1)] = 1 on the part that chose the step (without one, on the learnt pairs):
    for that part the best one.

    Source: Nguyen, Wainwright and Jordan 2010, arXiv 0809.0853; Nowozin et al. 2016, arXiv 1606.00709
    (f-GAN); as a bound of information Belghazi et al. 2018, arXiv 1801.04062. The constant is not theirs.

    The constructor's arguments are those of `NeuralEstimator`.
    """

    version = 1

    def bound(self, scores: Scores) -> Tensor:
        """1 + E_joint[f] − E_marginals[e^f] of the critic f = T − 1."""
        return 1 + scores.joint_N.mean() - log_mean_exp(scores.log_marginal_N).exp()

    def loss(self, joint_B: Tensor, marginal_BK: Tensor) -> Tensor:
        """Minus the bound of a batch."""
        return log_mean_exp(marginal_BK).exp() - joint_B.mean() - 1

    def offset(self, scores: Scores) -> Tensor:
        """−log E_marginals[e^f]."""
        return -log_mean_exp(scores.log_marginal_N)
