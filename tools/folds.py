"""Write the committed folds of the real datasets, workflow/resources/folds.

They are committed so that anybody can use the same.

python tools/folds.py writes them from config.yaml and the table of recordings; no data is needed.
"""

from pathlib import Path

from sleepbench.config.load import load
from sleepbench.config.models import Config
from sleepbench.config.plan import dataset, protocol_on, recordings
from sleepbench.protocols.audit import write_fold_file

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "workflow" / "resources" / "folds"


def write_committed_folds(config: Config, directory: Path) -> list[Path]:
    """Write the fold file of every protocol on every whole real dataset.

    The files are `directory`/<dataset>/<folds>.json; returns their paths.
    """
    written: dict[Path, None] = {}
    for name in config.datasets:
        if (one := dataset(config, name)).label.warning:
            continue
        for protocol in config.protocols:
            settings = protocol_on(config, protocol, name).folds
            path = directory / name / f"{settings.name}.json"
            if path not in written:
                write_fold_file(name, recordings(config, name), settings, path, excluded=one.excluded())
            written[path] = None
    return sorted(written)


if __name__ == "__main__":
    for path in write_committed_folds(load(ROOT / "config.yaml"), COMMITTED):
        print(path)
