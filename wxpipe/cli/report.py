"""The report of a validation as Markdown, for a mail, a ticket or Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wxpipe.pipeline.validate import Validation


def validation_page(root: str, found: Validation) -> str:
    """A page: what was looked at, what was found, and what to do about it."""
    document = found.document()
    lines = [f"# Validation of {root}", ""]
    lines += [f"{len(found.findings)} findings; {found.quarantined} files in quarantine.", ""]
    lines += ["| stage | partitions read | of |", "|---|---|---|"]
    lines += [
        f"| {stage} | {counts['looked_at']} | {counts['of']} |" for stage, counts in document["partitions"].items()
    ]
    if found.wanted.sample:
        lines += ["", f"The sample was drawn with `--seed {found.wanted.seed}`."]
    lines += ["", "| check | looks at | how | findings |", "|---|---|---|---|"]
    lines += [f"| {c['name']} | {c['looks_at']} | {c['how']} | {c['findings']} |" for c in document["checks"]]
    for finding in found.findings:
        lines += ["", f"## {finding.check}: {finding.where}", "", f"- expected: {finding.expected}"]
        lines += [f"- found: {finding.found}", f"- to do: {finding.remedy}"]
    return "\n".join(lines) + "\n"
