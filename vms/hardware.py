"""The hardware of a guest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Hardware:
    """The hardware of a guest: memory in MiB, virtual CPUs, and whether these have AVX2 (`on`,
    `off`; empty: as the CPU model of the accelerator has it).

    One CPU unless the experiment is about races: under TCG, kernels 5.11 to 5.13 hang while they
    calibrate further CPUs.
    """

    memory: int = 512
    cpus: int = 1
    avx2: str = ""
