"""What the loss is: the choices of ``conf/contrast``."""

from ctc_lightning.contrast.info_nce import InfoNCE
from ctc_lightning.contrast.nce import NCE
from ctc_lightning.contrast.protocol import Contrast

__all__ = ["NCE", "Contrast", "InfoNCE"]
