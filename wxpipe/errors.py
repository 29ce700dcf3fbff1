"""The exceptions that are the policy: what happens to a batch is decided by the class that was raised.

`Quarantine` puts one input aside and goes on, `Retry` tries the same work again, `UsageError` and
`RefusedError` are told to the person and end the command. Anything else is a bug and stops the stage.
"""

from __future__ import annotations


class WxpipeError(Exception):
    """Base of every error that wxpipe raises on purpose; its message is written for a person."""


class Quarantine(WxpipeError):  # noqa: N818 - a policy, not a failure of the program
    """This input is unusable; put it aside with its reason and go on.

    Args:
        path: the input, relative to the archive.
        reason: a short stable word, e.g. ``truncated`` (what counts are grouped by).
        expected: what a sound input would have had.
        found: what this one has.
    """

    def __init__(self, path: str, reason: str, expected: str = "", found: str = "") -> None:
        self.path, self.reason, self.expected, self.found = path, reason, expected, found
        super().__init__(path, reason, expected, found)

    def __str__(self) -> str:
        text = f"{self.path}: {self.reason}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.found:
            text += f", found {self.found}"
        return text


class Retry(WxpipeError):  # noqa: N818 - a policy, not a failure of the program
    """The work failed for a reason of the moment (storage, network); the same work may succeed later."""


class DamagedError(WxpipeError):
    """What is stored is not what was written, or is gone; it can be made again from what it was made of."""


class StoreError(WxpipeError):
    """The root cannot be written: full, read-only, not permitted. Nothing is half-written, and the stage stops."""


class LeaseLostError(WxpipeError):
    """Another run took this partition over; whoever holds the old lease must not write."""


class RefusedError(WxpipeError):
    """The request is understood and would do harm or contradict the root; says what to do instead."""


class Cancelled(WxpipeError):  # noqa: N818 - a policy, not a failure of the program
    """A person asked the run to stop: nothing more begins, and what was done is recorded."""


class UsageError(WxpipeError):
    """The request cannot be understood; exit code 2."""


class NotFoundError(WxpipeError):
    """A named thing (clip, release, model, object) does not exist."""
