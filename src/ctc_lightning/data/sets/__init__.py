"""The data sets, one file each: the choices of ``collection`` in ``conf/data``."""
