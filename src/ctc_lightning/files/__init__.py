"""Files: atomic writes, locks, digests."""
