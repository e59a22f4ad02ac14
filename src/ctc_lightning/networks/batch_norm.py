"""Every BatchNorm layer of torch: their common base class is private."""

from torch import nn

OF_ONE_RANK = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BATCH_NORM = (*OF_ONE_RANK, nn.SyncBatchNorm)
