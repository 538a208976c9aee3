"""The C of a network, compiled and run: on this machine, and on emulated boards with Cortex-M processors.

QEMU gives an instruction one nanosecond (`-icount shift=0`), so that a board's timer counts instructions, the same
number in every run. It knows nothing of the cycles that a processor takes for one.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.deployment.quantisation import LOGITS_PER_UNIT
from sleepbench.models.kernels.native import compiler

SOURCE = Path(__file__).with_name("c")
NAMES = {32: "float32", 16: "w8a16", 8: "int8"}
"""Forms by the bits of a value: as the header's macro has them, and as files are called."""
EPOCHS_AT_ONCE = 1000
TIME_LIMIT_S = 120
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
OPTIMIZE = "-O3"
ARM = "arm-none-eabi-"
QEMU = "qemu-system-arm"
BOARD_SOURCE = SOURCE / "board"
ARM_FLAGS = ("-std=c99", OPTIMIZE, "-mthumb", "-ffunction-sections", "-fdata-sections", "-ffp-contract=fast")
LINK_FLAGS = ("-nostartfiles", "-Wl,--gc-sections", "-T", str(BOARD_SOURCE / "board.ld"))
INSTRUCTIONS_PER_TICK = 40
"""Of the boards' timer, which runs at 25 MHz, where an instruction takes a nanosecond."""


@dataclass(frozen=True)
class Board:
    """An emulated board.

    core : its processor; machine : its name in QEMU; flags : by which code for it is compiled
    """

    core: str
    machine: str
    flags: tuple[str, ...]


BOARDS = (
    Board("Cortex-M3", "mps2-an385", ("-mcpu=cortex-m3",)),
    Board("Cortex-M4F", "mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
    Board("Cortex-M7", "mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16")),
)


@dataclass(frozen=True)
class Outputs:
    """What a form gave for some epochs: stages (n,), logits (n, n_stages), seconds of the processor (n,)."""

    stages: np.ndarray
    logits: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image.

    flash : code and constants, with all that it needs to start
    state : what is remembered between samples
    """

    flash: int
    state: int


@dataclass(frozen=True)
class BoardOutputs:
    """What a board did with some epochs.

    stages, logits : as in Outputs
    instructions : (n,) of an epoch, all samples of it; last : (n,) of those, for an epoch's last sample
    stack : bytes, at most
    """

    stages: np.ndarray
    logits: np.ndarray
    instructions: np.ndarray
    last: np.ndarray
    stack: int


# --------------------------------------------------------------------------------------------------------- this machine


def lacks_compiler() -> str:
    """Why nothing can be compiled for this machine; empty where it can."""
    try:
        command = compiler()
    except FileNotFoundError as error:
        return str(error)
    except ValueError as error:
        return f"CC cannot be read: {error}"
    return "" if shutil.which(command[0]) else f"no C compiler: {command[0]} is not found"


def run_here(directory: Path, bits: int, epochs: np.ndarray, scratch: Path) -> Outputs:
    """Push epochs, float32 (n, n_channels, n_samples) in microvolts, through a form compiled for this machine."""
    program = scratch / f"sleepbench-{bits}"
    sources = [str(directory / name) for name in ("sleepbench_test.c", "sleepbench.c")]
    _run([*compiler(), *STRICT, OPTIMIZE, f"-DSLEEPBENCH_BITS={bits}", "-o", str(program), *sources, "-lm"])
    lines: list[bytes] = []
    for start in range(0, len(epochs), EPOCHS_AT_ONCE):
        part = np.ascontiguousarray(epochs[start : start + EPOCHS_AT_ONCE], "<f4")
        finished = subprocess.run([str(program), "-"], input=part.tobytes(), capture_output=True, check=False)
        lines += finished.stdout.splitlines()
        if finished.returncode or len(lines) != start + len(part):
            raise BenchmarkError(
                f"{program.name}: ended with {finished.returncode} after {len(lines)} of {len(epochs)} epochs"
            )
    table = np.array([line.split() for line in lines], float).reshape(-1, len(STAGES) + 2)
    return Outputs(table[:, 0].astype(int), table[:, 1:-1], table[:, -1])


# --------------------------------------------------------------------------------------------------------------- boards


def lacks_arm_compiler() -> str:
    """Why nothing can be compiled for a board; empty where it can."""
    missing = [name for name in (f"{ARM}gcc", f"{ARM}size", f"{ARM}nm") if not shutil.which(name)]
    if missing:
        return f"no {missing[0]} (Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi)"
    return ""


def lacks_boards() -> str:
    """Why no board can be tried here; empty where they can."""
    if lacks := lacks_arm_compiler():
        return lacks
    return "" if shutil.which(QEMU) else f"no {QEMU} (Debian: {QEMU})"


def versions() -> dict[str, str]:
    """Of the compiler and the emulator."""
    programs = {"compiler": f"{ARM}gcc", "emulator": QEMU}
    return {name: _run([program, "--version"]).splitlines()[0] for name, program in programs.items()}


def sizes(directory: Path, board: Board, bits: int, scratch: Path) -> Sizes:
    """Sizes of a firmware that does nothing but take samples and give stages."""
    image = _image(directory, board, bits, scratch, ("-DONLY_IMAGE",))
    sections = dict(re.findall(r"^(\.\S+)\s+(\d+)\s", _run([f"{ARM}size", "-A", str(image)]), re.M))
    flash = sum(int(sections.get(name, 0)) for name in (".text", ".ARM.exidx", ".data"))
    (state,) = re.findall(r"^\S+ (\S+) b state$", _run([f"{ARM}nm", "-S", str(image)]), re.M)
    return Sizes(flash, int(state, 16))


def run_on(directory: Path, board: Board, bits: int, epochs: np.ndarray, scratch: Path, seconds: float) -> BoardOutputs:
    """Push epochs through a form on a board, as many as it does in so many seconds of this machine, at least one."""
    image = _image(directory, board, bits, scratch)
    (scratch / "epochs.f32").write_bytes(np.ascontiguousarray(epochs.transpose(0, 2, 1), "<f4").tobytes())
    records = scratch / "records.bin"
    records.unlink(missing_ok=True)
    kind = np.dtype(
        [
            ("stage", "<i4"),
            ("logits", "<f4" if bits == 32 else "<i4", len(STAGES)),
            *((name, "<u4") for name in ("ticks", "last", "stack")),
        ]
    )
    command = [QEMU, "-M", board.machine, "-kernel", str(image), "-icount", "shift=0"]
    command += ["-semihosting-config", "enable=on,target=native", "-nographic", "-monitor", "none", "-serial", "none"]
    process = subprocess.Popen(
        command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    ends = time.monotonic() + seconds
    try:
        while process.poll() is None and (time.monotonic() < ends or not _n_records(records, kind)):
            if time.monotonic() > ends + TIME_LIMIT_S:
                break
            time.sleep(0.02)
    finally:
        process.kill()
        said = process.communicate()[1].strip()
    found = np.frombuffer(records.read_bytes() if records.exists() else b"", np.uint8)
    found = found[: len(found) // kind.itemsize * kind.itemsize].view(kind)
    if not len(found) or process.returncode > 0:
        raise BenchmarkError(
            f"{board.machine}: {QEMU} ended with {process.returncode} after {len(found)} epochs"
            f"{': ' + said.splitlines()[-1] if said else ''}; see that its version knows this board: {QEMU} -M help"
        )
    return BoardOutputs(
        stages=found["stage"].astype(int),
        logits=found["logits"] / (1 if bits == 32 else LOGITS_PER_UNIT),
        instructions=found["ticks"].astype(int) * INSTRUCTIONS_PER_TICK,
        last=found["last"].astype(int) * INSTRUCTIONS_PER_TICK,
        stack=int(found["stack"].max()),
    )


def needs(directory: Path, forms: Sequence[int], shape: tuple[int, int], scratch: Path) -> str:
    """Flash and RAM of forms on each board, for epochs of (n_channels, n_samples); or why they were not measured."""
    if lacks := lacks_boards():
        return f"Flash and stack were not measured where this was written: {lacks}."
    said = []
    for board in BOARDS:
        for bits in forms:
            size = sizes(directory, board, bits, scratch)
            stack = run_on(directory, board, bits, np.zeros((1, *shape), np.float32), scratch, TIME_LIMIT_S).stack
            said.append(
                f"{board.core}, {NAMES[bits]}: {size.flash:,} bytes of flash, {size.state + stack:,} of RAM, of which "
                f"{stack:,} are stack"
            )
    return f"Measured of a firmware that does nothing else, {versions()['compiler']}, {OPTIMIZE}: {'; '.join(said)}."


def _n_records(path: Path, kind: np.dtype) -> int:
    return path.stat().st_size // kind.itemsize if path.exists() else 0


def _image(directory: Path, board: Board, bits: int, scratch: Path, flags: Sequence[str] = ()) -> Path:
    image = scratch / "board.elf"
    sources = (str(directory / "sleepbench.c"), str(BOARD_SOURCE / "board.c"))
    flags = (*ARM_FLAGS, *board.flags, f"-DSLEEPBENCH_BITS={bits}", f"-I{directory}", *flags)
    _run([f"{ARM}gcc", *flags, *LINK_FLAGS, "-o", str(image), *sources])
    return image


def _run(command: Sequence[str]) -> str:
    """What a program prints; BenchmarkError with the first error that it names where it fails."""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{command[0]}: {error}") from error
    if finished.returncode:
        lines = finished.stderr.splitlines() or ["it says nothing"]
        raise BenchmarkError(f"{command[0]} failed: {next((line for line in lines if 'error' in line), lines[0])}")
    return finished.stdout
