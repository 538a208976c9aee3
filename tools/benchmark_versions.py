"""Print what a new version of each benchmark would be, for workflow/definitions/benchmarks.yaml.

python tools/benchmark_versions.py prints, as YAML, those whose folds, files or protocols are others than in their
newest version; no data is needed.
"""

from pathlib import Path

import yaml

from sleepbench.config.benchmarks import Definition, as_defined, newest, versions
from sleepbench.config.load import load
from sleepbench.config.models import Config
from sleepbench.config.plan import ladder_on

ROOT = Path(__file__).parents[1]


def due(config: Config) -> dict[str, Definition]:
    """New versions by name: of the datasets and protocols of the newest ones, and of any rung that is new."""
    found = {}
    for name in newest():
        benchmark, _, number = name.rpartition(" v")
        known = versions()[name]
        asked = {
            dataset: dict.fromkeys([*ladder_on(config, dataset), *one["protocols"]]) for dataset, one in known.items()
        }
        if (now := as_defined(config, asked)) != known:
            found[f"{benchmark} v{int(number) + 1}"] = now
    return found


def as_yaml(definitions: dict[str, Definition]) -> str:
    """Versions as they stand in benchmarks.yaml: a protocol a line."""
    lines = []
    for name, definition in definitions.items():
        lines.append(f"{name}:")
        for dataset, one in definition.items():
            lines += [f"  {dataset}:", f"    data_sha256: {one['data_sha256'] or 'null'}", "    protocols:"]
            for protocol, rule in one["protocols"].items():
                flow = yaml.safe_dump(rule, default_flow_style=True, sort_keys=False, width=1000).strip()
                lines.append(f"      {protocol}: {flow}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_yaml(due(load(ROOT / "config.yaml"))) or "the newest versions are as the definitions are", end="")
