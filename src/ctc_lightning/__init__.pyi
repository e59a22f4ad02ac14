# The public names for type checkers and editors: `__init__.py` imports them when they are first used.
from ctc_lightning.batch import Batch as Batch, EvenBatch as EvenBatch, Prediction as Prediction
from ctc_lightning.contrast import NCE as NCE, Contrast as Contrast, InfoNCE as InfoNCE
from ctc_lightning.data import (
    CachedDataModule as CachedDataModule,
    Digits as Digits,
    FileDataModule as FileDataModule,
    Glyphs as Glyphs,
    ImageDataModule as ImageDataModule,
    IndexedDataset as IndexedDataset,
    InMemoryDataModule as InMemoryDataModule,
)
from ctc_lightning.data.by_name import load_data as load_data
from ctc_lightning.key_encoder import (
    FrozenEncoder as FrozenEncoder,
    KeyEncoder as KeyEncoder,
    MomentumEncoder as MomentumEncoder,
    QueryEncoder as QueryEncoder,
)
from ctc_lightning.memory import (
    BatchMemory as BatchMemory,
    KeyQueue as KeyQueue,
    Keys as Keys,
    Memory as Memory,
    MemoryBank as MemoryBank,
    TwinBank as TwinBank,
)
from ctc_lightning.metrics.classifier_scores import ClassifierScores as ClassifierScores
from ctc_lightning.module import CTCModule as CTCModule
from ctc_lightning.networks import (
    LinearProjector as LinearProjector,
    MLPProjector as MLPProjector,
    Network as Network,
    create_backbone as create_backbone,
    create_network as create_network,
)
from ctc_lightning.optim import (
    Constant as Constant,
    Cosine as Cosine,
    LinearWarmupCosine as LinearWarmupCosine,
    Schedule as Schedule,
)
from ctc_lightning.prediction.predict import predict as predict
from ctc_lightning.stage import Stage as Stage, StageSchedule as StageSchedule
from ctc_lightning.transfer_table import evaluate as evaluate

__version__: str
