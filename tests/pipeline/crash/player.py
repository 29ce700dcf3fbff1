"""Plays a host's crash: after every process was killed, takes back what none of them had synced.

`unsynced.c` records what a process tree does below a folder. After a power cut POSIX promises what was synced: data of
a file by fsync of the file, its name by fsync of its folder. Of the rest anything may be left; a seed says what.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("unsynced.c")


@dataclass(frozen=True)
class Operation:
    """One line of the journal: R a name made or replaced, U removed, M a folder made, W written to, S synced."""

    kind: str
    inode: int
    path: Path
    kept: str


@dataclass(frozen=True)
class Recorder:
    """Where a tree of processes is recorded.

    Attributes:
        library: `unsynced.c`, compiled.
        folder: what is watched; must be an absolute path without links.
        journal: where it is recorded.
    """

    library: Path
    folder: Path
    journal: Path

    @classmethod
    def of(cls, folder: Path, scratch: Path) -> Recorder:
        """A recorder of a folder; ``scratch`` must lie on the same file system.

        Raises:
            FileNotFoundError: there is no C compiler.
        """
        library, journal = scratch / "unsynced.so", scratch / "journal"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
        Path(f"{journal}.kept").mkdir()
        folder.mkdir(exist_ok=True)
        return cls(library, folder.resolve(), journal)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process, and all that it starts, be recorded."""
        return {
            "LD_PRELOAD": str(self.library),
            "UNSYNCED_BELOW": str(self.folder),
            "UNSYNCED_JOURNAL": str(self.journal),
        }

    def operations(self) -> list[Operation]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        fields = [line.split("\t") for line in lines]
        return [Operation(f[0], int(f[1]), Path(f[2]), f[3]) for f in fields if len(f) == 4]

    def crash(self, seed: int) -> tuple[int, int]:
        """Takes back what was not synced, as a crash may; (files that lost data, names that were taken back)."""
        draw, operations = random.Random(seed), self.operations()
        names = sum(_undo(operation) for operation in reversed(_lost_names(operations, draw)))
        files = _lose_data(operations, self.folder, draw)
        self.journal.unlink(missing_ok=True)
        return files, names


def _lost_names(operations: list[Operation], draw: random.Random) -> list[Operation]:
    """Changes of names that no sync of their folder followed, from a point on that is drawn for each folder."""
    last_sync: dict[Path, int] = {}
    for at, operation in enumerate(operations):
        if operation.kind == "S":
            last_sync[operation.path] = at
    loose: dict[Path, list[int]] = defaultdict(list)
    for at, operation in enumerate(operations):
        if operation.kind in "RUM" and last_sync.get(operation.path.parent, -1) < at:
            loose[operation.path.parent].append(at)
    lost = [at for ats in loose.values() for at in ats[draw.randint(0, len(ats)) :]]
    return [operations[at] for at in sorted(lost)]


def _undo(operation: Operation) -> bool:
    path = operation.path
    if operation.kind == "M":
        shutil.rmtree(path, ignore_errors=True)
    elif operation.kept:
        if operation.kind == "U" and path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(operation.kept, path)
    elif path.is_file():
        path.unlink()
    return True


def _lose_data(operations: list[Operation], folder: Path, draw: random.Random) -> int:
    """Files whose last bytes were not synced keep all, some or none of them, or zeros."""
    dirty: set[int] = set()
    for operation in operations:
        if operation.kind == "W":
            dirty.add(operation.inode)
        elif operation.kind == "S":
            dirty.discard(operation.inode)
    lost = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.stat().st_ino not in dirty:
            continue
        fate = draw.choice(["kept", "cut", "empty", "zeros"])
        size = path.stat().st_size
        if fate == "kept" or not size:
            continue
        with open(path, "r+b") as file:
            file.truncate(draw.randrange(size) if fate == "cut" else 0)
            if fate == "zeros":
                file.truncate(size)
        lost += 1
    return lost
