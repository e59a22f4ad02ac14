"""``python -m ctc_lightning.export``, see ``conf/export.yaml``."""

from ctc_lightning.cli.early import export

if __name__ == "__main__":
    export()
