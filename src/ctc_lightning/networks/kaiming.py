"""The weight initialisation of residual networks."""

from torch import nn


def kaiming_fan_out_(network: nn.Module) -> None:
    """Draw every convolution from N(0, 2 / (k^2 out_channels)), in place.

    BatchNorm keeps PyTorch's scale 1 and shift 0. Source: arXiv 1502.01852 with fan-out, as in
    ``dt-tradeoff@a36516b models/resnet.py:133``, ``wrn.py:86``, ``resnext.py:104``, ``mobilenetv2.py:161``.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
