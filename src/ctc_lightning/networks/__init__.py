"""Backbones f, projectors g and the Network (f, g, W) that the methods train."""

from ctc_lightning.networks.backbone import create_backbone
from ctc_lightning.networks.network import Network, create_network
from ctc_lightning.networks.projector import LinearProjector, MLPProjector

__all__ = ["LinearProjector", "MLPProjector", "Network", "create_backbone", "create_network"]
