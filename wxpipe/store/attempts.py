"""Attempts at a partition: whoever began last may write it, and its ledger entry says who that is.

A worker that was cut off goes on, and a scheduler gives what it was doing to another; a run that stood still wakes up
when its partitions have long been made anew. So an attempt announces itself before it writes, and looks at the
announcement before and after each write. Another's name there before a write: it stops. There after a write: what it
wrote may lie over what the other has made, and the runner asks for the partition again.

What a look cannot see is an attempt that stands still within one write, goes on after the other has ended, and dies
before it looks again: `wxpipe validate` does, since the bytes are then not those that the ledger names.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace

from wxpipe.errors import LeaseLostError, Retry
from wxpipe.store.ledger import Entry, Ledger
from wxpipe.store.objects import Objects


class Attempt:
    """One try at a partition, from its announcement on.

    Attributes:
        entry: the announcement.
        late: a write ended after another attempt had begun; what that one made may have been written over.
    """

    def __init__(self, objects: Objects, entry: Entry) -> None:
        self._ledger = Ledger(objects)  # of its own: never answers from memory
        self.entry = entry
        self.late = False

    def look(self, point: str) -> None:
        """Stops an attempt that is not the latest one.

        Args:
            point: a write point, ``<before|after> ...``.

        Raises:
            LeaseLostError: a later attempt has begun.
            Retry: an earlier one has just written its entry over this one's.
        """
        mine = self.entry
        there = self._ledger.get(mine.stage, mine.partition)
        if there is not None and there.by == mine.by:
            return
        what = f"{mine.stage} {mine.partition}"
        if there is not None and (there.epoch, there.attempt) < (mine.epoch, mine.attempt):
            raise Retry(f"{what}: {there.by}, an earlier attempt, came back while {mine.by} was making it")
        self.late = self.late or point.startswith("after")
        whose = f"{there.by or 'the runner'} took it over from {mine.by}" if there is not None else "its entry is gone"
        raise LeaseLostError(f"{what}: {whose}")


def announcement(before: Entry | None, stage: str, partition: str, epoch: int) -> Entry:
    """The entry that announces an attempt: what the ledger had, taken back, with a name that is this attempt's alone.

    Were a recorded "done" left there, a run that is killed half-way would look done as soon as its old inputs came
    back.
    """
    base = before if before is not None else Entry(stage, partition, "running", "")
    by = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    return replace(base, state="running", error="", epoch=epoch, attempt=base.attempt + 1, by=by)
