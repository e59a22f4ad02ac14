"""Transfer protocols, one file each, as in conf/protocol."""
