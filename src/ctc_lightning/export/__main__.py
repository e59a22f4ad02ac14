"""``python -m ctc_lightning.export``, see ``conf/export.yaml``."""

from ctc_lightning.export import main

if __name__ == "__main__":
    main()
