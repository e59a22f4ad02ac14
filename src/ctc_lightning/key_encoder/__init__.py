"""Who embeds the past view: the choices of ``conf/key_encoder``."""

from ctc_lightning.key_encoder.frozen import FrozenEncoder
from ctc_lightning.key_encoder.momentum import MomentumEncoder
from ctc_lightning.key_encoder.protocol import KeyEncoder
from ctc_lightning.key_encoder.query import QueryEncoder

__all__ = ["FrozenEncoder", "KeyEncoder", "MomentumEncoder", "QueryEncoder"]
