"""What a network needs on a microcontroller: the limits it is held to, and an estimate of time and duty.

Rows are those of the document that `deployment.measuring` writes.
"""

from collections.abc import Mapping
from typing import Any

from sleepbench.core.stages import EPOCH_SECONDS

CLOCKS_MHZ = (64, 168, 480)
"""Of processors that are sold: of a Cortex-M4F at its usual low and high end, and of a Cortex-M7."""
CYCLES_PER_INSTRUCTION = (1.3, 2.0)
"""Assumed, not measured: an emulator counts instructions, and a processor waits for its flash as well."""
MOST_DIFFERENCE = 1e-5
"""Of the probabilities of the form in single precision from those of PyTorch."""
LEAST_AGREEMENT = 0.99
"""Of the stages of W8A16 with those of PyTorch."""
MOST_FLASH = 32 * 1024
MOST_RAM = {"float32": 8 * 1024, "w8a16": 5 * 1024}
"""Bytes, stack included."""
MOST_DRIFT = 0.05
"""Of the instructions from those that are committed."""


def ram_bytes(row: Mapping[str, Any]) -> int:
    """State and stack."""
    return row["state_bytes"] + row["stack_bytes"]


def estimated_ms(instructions: float, megahertz: float) -> tuple[float, float]:
    """Milliseconds for so many instructions, at the fewest and at the most cycles that are assumed for one."""
    few, many = (instructions * cycles / (1000 * megahertz) for cycles in CYCLES_PER_INSTRUCTION)
    return few, many


def duty_percent(instructions: float, megahertz: float) -> float:
    """The share of the time that the processor works, at the most cycles that are assumed."""
    return 100 * estimated_ms(instructions, megahertz)[1] / (1000 * EPOCH_SECONDS)


def broken_limits(row: Mapping[str, Any], committed: Mapping[str, Any] | None) -> list[str]:
    """Which limits a row of a board breaks, with what was found; none: it keeps all of them."""
    broken = []
    if row["form"] == "float32" and not row["probability_difference"] <= MOST_DIFFERENCE:
        broken.append(f"probabilities differ by {row['probability_difference']:.1e}, at most {MOST_DIFFERENCE:.0e}")
    if row["form"] == "w8a16" and not row["agreement"] >= LEAST_AGREEMENT:
        broken.append(f"{row['agreement']:.3f} of the stages agree, at least {LEAST_AGREEMENT}")
    if row["flash_bytes"] > MOST_FLASH:
        broken.append(f"{row['flash_bytes']:,} bytes of flash, at most {MOST_FLASH:,}")
    if (ram := ram_bytes(row)) > (most := MOST_RAM[row["form"]]):
        broken.append(f"{ram:,} bytes of RAM, at most {most:,}")
    if committed and abs(row["instructions"] / committed["instructions"] - 1) > MOST_DRIFT:
        drift = 100 * (row["instructions"] / committed["instructions"] - 1)
        broken.append(f"{drift:+.0f} % instructions against those committed, at most {100 * MOST_DRIFT:.0f} %")
    return broken
