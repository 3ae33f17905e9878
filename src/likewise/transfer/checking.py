"""Whether a store is whole: what its database finds itself, and whether every record could go into a backup."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from likewise.store import Finding, Store
from likewise.transfer.backups import NAMES, faults_of

FAULTS_MAX = 100
"""The most records that are named one by one; the rest is counted."""


class Checked(NamedTuple):
    """What was found, and how many records of each type there were to look at, by the names that lines give them."""

    findings: list[Finding]
    counts: Mapping[str, int]


async def check(store: Store, *, progress: Callable[[int, int], None]) -> Checked:
    """Look at everything, while others read and write on; `progress` is told how many more records, of how many."""
    findings: list[Finding] = []
    faults_left_out = 0
    async with store.snapshot() as snapshot:
        counts = await snapshot.counts()
        total = sum(counts.values())
        async for page in snapshot.records():
            for fault in faults_of(page):
                if len(findings) < FAULTS_MAX:
                    findings.append(Finding(fault, 1))
                else:
                    faults_left_out += 1
            progress(len(page), total)
    if faults_left_out:
        findings.append(Finding("more records that are malformed", faults_left_out))
    findings += [finding async for finding in store.check()]
    return Checked(findings, {NAMES[record]: count for record, count in counts.items()})
