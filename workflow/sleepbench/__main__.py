"""`python -m sleepbench` is the command `sleepbench`."""

from sleepbench.cli.app import main

main()
