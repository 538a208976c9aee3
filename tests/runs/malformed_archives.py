"""Archives as nobody's `export` writes them, by what is wrong with them.

Each is made of the members of an ordinary archive, a mapping of names to bytes. Where only a member's content is wrong,
the manifest follows it: its hashes say nothing about whom they are from.
"""

import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

Members = dict[str, bytes]
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
RUNS = "results/simulated/runs.csv"
MAIN_TABLE = "results/simulated/tables/main_results.csv"
WRITTEN: dict[str, Callable[[Members], list[tuple[zipfile.ZipInfo | str, bytes]] | bytes]] = {}
"""By name, what makes an archive: the members to be written, or its bytes."""


def of_members(change: Callable[[Members], Any], sign: bool = True) -> None:
    """An archive with changed members."""

    def make(members: Members) -> list[tuple[zipfile.ZipInfo | str, bytes]]:
        change(members)
        return list(signed(members).items() if sign else members.items())

    WRITTEN[change.__name__] = make


def raw(make: Callable[[Members], Any]) -> None:
    """An archive that is written in a way of its own."""
    WRITTEN[make.__name__] = make


def signed(members: Members) -> Members:
    """Members with a manifest that has their hashes."""
    manifest = json.loads(members["manifest.json"])
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in members.items() if name != MANIFEST}
    return members | {MANIFEST: json.dumps(manifest).encode()}


MANIFEST = "manifest.json"
PANDAS = json.dumps({"columns": ["a"], "index_columns": [], "column_indexes": [], "pandas_version": "3"})


def packed(members: list[tuple[zipfile.ZipInfo | str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of members, which may have the same name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, one in members:
            file.writestr(name, one)
    return content.getvalue()


def named(members: Members, end: str) -> str:
    """The first member whose name ends so."""
    return next(name for name in members if name.endswith(end))


# ----------------------------------------------------------------------------------------------------------- no archive


@raw
def empty_file(_):
    return b""


@raw
def text(_):
    return b"no zip file"


@raw
def tar(_):
    import tarfile

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        file.addfile(tarfile.TarInfo("manifest.json"))
    return content.getvalue()


@raw
def truncated(members):
    content = packed(list(members.items()))
    return content[: len(content) // 2]


@raw
def truncated_by_a_byte(members):
    return packed(list(members.items()))[:-1]


@raw
def without_a_beginning(members):
    content = packed(list(members.items()))
    return content[len(content) // 2 :]


@raw
def empty_zip(_):
    return packed([])


@raw
def zip_in_a_zip(members):
    return packed([("archive.zip", packed(list(members.items())))])


@raw
def flipped_bytes(members):
    content = bytearray(packed(list(members.items())))
    for at in range(1000, 100_000, 997):
        content[at] ^= 0xFF
    return bytes(content)


# ------------------------------------------------------------------------------------------------------- its directory


@raw
def directory_of_many(members):
    """That the record at the end says to have more files than there are."""
    content = bytearray(packed(list(members.items())))
    content[-14:-10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(content)


@raw
def directory_that_is_endless(members):
    content = bytearray(packed(list(members.items())))
    content[-10:-6] = struct.pack("<I", 2**32 - 2)
    return bytes(content)


@raw
def directory_of_64_bits(members):
    content = packed(list(members.items()))
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**9, 10**9, 10**12, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(content) - 22, 1)
    return content[:-22] + record + locator + content[-22:]


@raw
def same_name_twice(members):
    return [*members.items(), (RUNS, b"other")]


@raw
def manifest_twice(members):
    return [*members.items(), (MANIFEST, b"{}")]


def with_member(name: str | zipfile.ZipInfo, content: bytes = b"x") -> Callable[[Members], Any]:
    def make(members):
        plain = name if isinstance(name, str) else name.filename
        listed = signed(members | {plain: content})
        return [(name if one == plain else one, content) for one, content in listed.items()]

    return make


def info(name: str, mode: int = 0, **changes: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.external_attr = mode << 16
    for attribute, value in changes.items():
        setattr(member, attribute, value)
    return member


WRITTEN |= {
    "absolute_name": with_member("/tmp/outside"),
    "name_that_leaves": with_member("../outside"),
    "name_that_leaves_further_down": with_member("results/simulated/../../../outside"),
    "name_of_windows": with_member("C:\\outside"),
    "name_with_a_drive": with_member("C:/outside"),
    "name_with_backslashes": with_member("..\\..\\outside"),
    "name_of_nothing": with_member("results//x"),
    "name_of_the_directory": with_member("./x"),
    "directory": with_member("results/more/"),
    "name_with_an_escape": with_member(f"results/{ESCAPE}"),
    "name_without_end": with_member("x" * 60_000),
    "name_with_a_line": with_member("results/a\nb"),
    "symbolic_link": with_member(info("results/link", stat.S_IFLNK | 0o777), b"/etc/passwd"),
    "device": with_member(info("results/device", stat.S_IFCHR | 0o666)),
    "pipe": with_member(info("results/pipe", stat.S_IFIFO | 0o666)),
    "weights": with_member("results/simulated/weights.pt"),
    "pickle": with_member("results/simulated/model.pickle"),
    "file_below_a_file": with_member(f"{RUNS}/x"),
}


@raw
def encrypted(members):
    content = bytearray(packed(list(members.items())))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


@raw
def packed_by_lzma(members):
    return packed(list(members.items()), zipfile.ZIP_LZMA)


@raw
def packed_by_bzip2(members):
    return packed(list(members.items()), zipfile.ZIP_BZIP2)


@raw
def size_that_is_wrong(members):
    """The directory says that a member is small; its stream does not end there."""
    content = bytearray(packed([*members.items(), ("results/zeros", bytes(10**7))]))
    start = content.rfind(b"PK\1\2")
    content[start + 24 : start + 28] = struct.pack("<I", 10)
    return bytes(content)


@raw
def bomb(members):
    """70 kB that are 70 MB."""
    return list(signed(members | {"results/zeros": bytes(70 * 2**20)}).items())


@raw
def bomb_of_many(members):
    zeros = packed([("zeros", bytes(2**20))])
    assert len(zeros) < 2000
    return [*members.items(), *((f"results/{n}", bytes(2**20)) for n in range(80))]


@raw
def huge_file(members):
    content = bytearray(packed([*members.items(), ("results/zeros", b"0")]))
    start = content.rfind(b"PK\1\2")
    content[start + 24 : start + 28] = struct.pack("<I", 2**31)
    return bytes(content)


# ------------------------------------------------------------------------------------------------------------ its files


def of_manifest(name: str, **changes: Any) -> None:
    def make(members):
        manifest = json.loads(members[MANIFEST]) | changes
        members[MANIFEST] = json.dumps(manifest).encode()
        return list(members.items())

    WRITTEN[f"manifest_with_{name}"] = make


of_manifest("another_format", format="sleepbench results, 99")
of_manifest("a_format_that_is_a_list", format=["sleepbench results, 2"])
of_manifest("an_escape", git_commit=ESCAPE)
of_manifest("a_commit_that_is_none", git_commit=None)
of_manifest("simulated_as_text", simulated="no")
of_manifest("files_that_are_a_list", files=["a"])
of_manifest("hashes_that_are_numbers", files={RUNS: 1})
of_manifest("a_dataset_that_is_a_mapping", dataset={})
of_manifest("an_unknown_key", more=1)
of_manifest("infinitely_many_runs", runs=float("inf"))
of_manifest("runs_that_are_negative", runs=-1)


def content_of(name: str, member: str, content: bytes) -> None:
    def make(members):
        one = named(members, member)
        members[one] = content
        return list((members if one == MANIFEST else signed(members)).items())

    WRITTEN[name] = make


content_of("manifest_that_is_a_list", MANIFEST, b"[]")
content_of("manifest_that_is_nested", MANIFEST, b"[" * 100_000)
content_of("manifest_that_is_no_utf8", MANIFEST, b'{"format": "\xff"}')
content_of("manifest_with_a_long_number", MANIFEST, b'{"runs": ' + b"9" * 5000 + b"}")
content_of("training_that_is_nested", "training.json", b'{"a":' * 3000 + b"1" + b"}" * 3000)
content_of("training_that_is_a_list", "training.json", b"[1]")
content_of("training_that_is_empty", "training.json", b"")
content_of("training_of_many_lists", "training.json", b"[" + b"[]," * 500_000 + b"[]]")
content_of("predictions_that_are_text", "predictions.parquet", b"no Parquet")
content_of("predictions_that_are_cut", "predictions.parquet", b"PAR1" + bytes(100) + b"PAR1")
content_of("metrics_that_are_a_list", "metrics.json", b"[]")
content_of("metrics_that_lack_cells", "metrics.json", b'{"accuracy": 0.5}')
content_of("folds_that_are_text", "validation0.json", b'"folds"')


def of_json(name: str, member: str, change: Callable[[Any], Any]) -> None:
    def make(members):
        one = named(members, member)
        document = json.loads(members[one])
        change(document)
        members[one] = json.dumps(document).encode()
        return list(signed(members).items())

    WRITTEN[name] = make


of_json("training_with_an_absolute_path", "training.json", lambda d: d["files"].update({"/etc/passwd": "0" * 64}))
of_json("training_with_a_path_that_leaves", "training.json", lambda d: d["files"].update({"../../x": "0" * 64}))
of_json("training_with_a_device", "training.json", lambda d: d["files"].update({"/dev/zero": "0" * 64}))
of_json("training_without_settings", "training.json", lambda d: d.pop("settings"))
of_json("training_with_settings_as_text", "training.json", lambda d: d.update(settings="all"))
of_json("training_with_huge_folds", "training.json", lambda d: d["provenance"].update(n_folds=3 * 10**8))
of_json("training_with_a_fold_as_text", "training.json", lambda d: d["settings"].update(fold="0"))
of_json("training_with_a_negative_fold", "training.json", lambda d: d["settings"].update(fold=-1))
of_json("training_with_an_escape", "training.json", lambda d: d["environment"].update(device=ESCAPE))
of_json("training_with_nan", "training.json", lambda d: d["settings"]["recipe"].update(learning_rate=float("nan")))
of_json("training_with_runs_as_list", "training.json", lambda d: d.update(runs=[]))
of_json("training_with_numbers_of_epochs_as_text", "training.json", lambda d: d["n_epochs"].update(test="many"))
of_json("metrics_with_nan", "metrics.json", lambda d: d.update(confusion_W_W=float("nan")))
of_json("metrics_with_text", "metrics.json", lambda d: d.update(confusion_W_W="1"))
of_json("folds_without_subjects", "validation0.json", lambda d: d.pop("subjects"))
of_json("folds_that_are_numbers", "validation0.json", lambda d: d.update(folds=[1, 2]))
of_json("folds_with_recordings_as_mapping", "validation0.json", lambda d: d["folds"][0].update(test={"a": 1}))
of_json("folds_with_an_escape", "validation0.json", lambda d: d["subjects"].update({ESCAPE: "1"}))


def of_runs(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    def make(members):
        table = change(pd.read_csv(io.BytesIO(members[RUNS]), dtype=str, keep_default_na=False))
        members[RUNS] = table.to_csv(index=False).encode()
        return list(signed(members).items())

    WRITTEN[f"runs_with_{name}"] = make


of_runs("huge_folds", lambda t: t.assign(n_folds="300000000"))
of_runs("an_absolute_directory", lambda t: t.assign(directory="/etc"))
of_runs("a_directory_that_leaves", lambda t: t.assign(directory="results/simulated/../../.."))
of_runs("no_directory", lambda t: t.assign(directory=""))
of_runs("an_escape", lambda t: t.assign(title=ESCAPE))
of_runs("folds_as_text", lambda t: t.assign(fold="first"))
of_runs("folds_that_are_fractions", lambda t: t.assign(fold="0.5"))
of_runs("folds_that_are_nothing", lambda t: t.assign(fold=""))
of_runs("a_seed_that_is_infinite", lambda t: t.assign(seed="inf"))
of_runs("simulated_perhaps", lambda t: t.assign(simulated="perhaps"))
of_runs("cells_as_text", lambda t: t.assign(confusion_W_W="many"))
of_runs("cells_that_are_huge", lambda t: t.assign(confusion_W_W="1e300"))
of_runs("only_folds_as_text", lambda t: t.assign(only_folds="all"))
of_runs("no_protocol", lambda t: t.drop(columns="protocol"))
of_runs("no_row", lambda t: t[:0])
of_runs("a_dataset_of_others", lambda t: t.assign(dataset="sleep-edf-20"))
content_of("runs_that_are_one_line", RUNS, b"," * 20_000_000)
content_of("runs_that_are_binary", RUNS, bytes(range(256)) * 10)
content_of("runs_that_are_empty", RUNS, b"")
content_of("main_table_that_is_binary", MAIN_TABLE, bytes(range(256)) * 10)
content_of("main_table_without_columns", MAIN_TABLE, b"protocol,model\nclean,x\n")
content_of("main_table_that_is_one_line", MAIN_TABLE, b"," * 20_000_000)
content_of("runs_with_a_quote_left_open", RUNS, b'run_key,"dataset\n' * 1000)


def of_predictions(name: str, change: Callable[[pa.Table], pa.Table | bytes]) -> None:
    def make(members):
        one = named(members, "predictions.parquet")
        content = io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(members[one]))), content)
        members[one] = content.getvalue()
        training, *below = one.rsplit("/", 2)
        document = json.loads(members[f"{training}/training.json"])
        document["files"]["/".join(below)] = sha256(members[one]).hexdigest()
        members[f"{training}/training.json"] = json.dumps(document).encode()
        return list(signed(members).items())

    WRITTEN[f"predictions_with_{name}"] = make


def column(name: str, values: Callable[[int], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(values(len(table))))


of_predictions("too_few_columns", lambda table: table.drop_columns(["p_W"]))
of_predictions("a_column_twice", lambda table: table.append_column("p_W", table["p_W"]))
of_predictions("stages_as_text", column("stage", lambda n: ["W"] * n))
of_predictions("stages_as_lists", column("stage", lambda n: [[1]] * n))
of_predictions("epochs_as_times", column("epoch", lambda n: pd.date_range("2020", periods=n)))
of_predictions("recordings_as_numbers", column("recording", range))
of_predictions("probabilities_as_text", column("p_W", lambda n: ["1"] * n))
of_predictions("probabilities_of_nan", column("p_W", lambda n: np.full(n, np.nan, np.float32)))
of_predictions("recordings_with_an_escape", column("recording", lambda n: [ESCAPE] * n))
of_predictions("recordings_without_end", column("recording", lambda n: ["x" * 10**4] * n))
of_predictions("no_row", lambda table: table[:0])
of_predictions("metadata_of_pandas_that_is_wrong", lambda table: table.replace_schema_metadata({"pandas": "[1]"}))
of_predictions("attributes_that_are_a_list", lambda table: table.replace_schema_metadata({"PANDAS_ATTRS": "[1]"}))
of_predictions("columns_of_pandas_that_are_text", lambda table: table.replace_schema_metadata({"pandas": PANDAS}))
of_predictions(
    "three_million_rows",
    lambda table: pa.table({name: pa.repeat(table[name][0], 3_000_000) for name in table.column_names}),
)
