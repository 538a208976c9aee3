"""Benchmarks by name and version: what a number that is cited is of.

A version is what `definitions/benchmarks.yaml` says of it: datasets, the hash of their files, and for each protocol its
folds and their hash, the trimming and the selection rule. It is never changed; whatever changes there makes a version.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from sleepbench.config import plan
from sleepbench.config.models import Config
from sleepbench.core.files import sha256_of_json
from sleepbench.core.shipped import shipped
from sleepbench.protocols.folds import folds_document

FILE = shipped("definitions") / "benchmarks.yaml"

Definition = dict[str, Any]
"""By dataset: data_sha256 (None: not fixed) and protocols, each with folds, folds_sha256, trimming and selection."""


@functools.cache
def versions() -> dict[str, Definition]:
    """The versions by name, such as "sleepbench-SC v1", of each benchmark the oldest first."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def digest(name: str) -> str:
    """SHA-256 of a version's definition."""
    return sha256_of_json(versions()[name])


def version_of(dataset: str, protocol: str, settings: Mapping[str, Any], selection: str) -> str:
    """The newest version that a run's settings are of; empty: none, as its folds, files or protocol are others."""
    asked = {**{name: settings[name] for name in ("folds", "folds_sha256", "trimming")}, "selection": selection}
    found = ""
    for name, definition in versions().items():
        known = definition.get(dataset, {"protocols": {}})
        same_files = known.get("data_sha256") in (None, settings["data_sha256"])
        if same_files and known["protocols"].get(protocol) == asked:
            found = name
    return found


def newest() -> list[str]:
    """The newest version of each benchmark."""
    return list({name.rpartition(" ")[0]: name for name in versions()}.values())


def as_defined(config: Config, asked: Mapping[str, Iterable[str]]) -> Definition:
    """What a version of these protocols, by dataset, would be now.

    The files of simulated recordings are made anew everywhere: no hash of them is fixed.
    """
    definition = {}
    for name, protocols in asked.items():
        recordings, data_sha256 = plan.recordings(config, name), None
        if plan.dataset(config, name).label.simulated:
            recordings = [replace(recording, files=()) for recording in recordings]
        rows = {}
        for protocol in protocols:
            rule = plan.protocol_on(config, protocol, name)
            document = folds_document(name, recordings, rule.folds)
            rows[protocol] = {
                **{"folds": document["name"], "folds_sha256": document["folds_sha256"]},
                **{"trimming": rule.trimming, "selection": rule.selection},
            }
            data_sha256 = document["data_sha256"] if recordings[0].files else None
        definition[name] = {"data_sha256": data_sha256, "protocols": rows}
    return definition
