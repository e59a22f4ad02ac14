"""The command line: configuration, errors in one line, console, run names."""
