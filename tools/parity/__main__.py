"""What `python tools/parity` runs: see command.py, or --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from parity.command import main

if __name__ == "__main__":
    main()
