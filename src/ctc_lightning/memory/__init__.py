"""Which keys meet the query: the choices of ``conf/memory``."""

from ctc_lightning.memory.bank import MemoryBank
from ctc_lightning.memory.batch import BatchMemory
from ctc_lightning.memory.protocol import Keys, Memory
from ctc_lightning.memory.queue import KeyQueue
from ctc_lightning.memory.twin_bank import TwinBank

__all__ = ["BatchMemory", "KeyQueue", "Keys", "Memory", "MemoryBank", "TwinBank"]
