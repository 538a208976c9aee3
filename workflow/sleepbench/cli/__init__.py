"""The command line: `sleepbench`."""
