"""Tables for people, and the JSON that is kept."""

import argparse
import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path

from .machine import REPOSITORY, describe_commit, describe_machine
from .servers import ServerSpec

FORMAT = 1
"""Raise it when a reader of older result files would misunderstand a new one."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


class Record:
    """A result file in the making: what was measured, where, and with what."""

    def __init__(self, tool: str, options: argparse.Namespace, specs: Sequence[ServerSpec]) -> None:
        self._options = options
        self._started = datetime.datetime.now(datetime.UTC)
        self._document: dict[str, object] = {
            "format": FORMAT,
            "tool": tool,
            "started": self._started.isoformat(timespec="seconds"),
            "complete": False,
            **describe_commit(),
            "machine": describe_machine(),
            "servers": {
                spec.name: {"version": spec.version, "command": spec.published_command()}
                for spec in specs
            },
        }

    def add(self, key: str, value: object) -> None:
        self._document[key] = value

    def caption(self) -> str:
        """One line that ties a picture to its machine and commit."""
        machine = self._document["machine"]
        assert isinstance(machine, dict)
        commit = str(self._document["commit"])[:10] or "no commit"
        changed = " with local changes" if self._document["changed"] else ""
        return (
            f"{self._started:%Y-%m-%d}, {machine['cpu']}, {machine['cores']} cores, "
            f"Linux {machine['kernel']}, commit {commit}{changed}"
        )

    def write(self, svg: str, complete: bool) -> None:
        """Write the files that were asked for, no picture if there is none; `complete` is False after
        an interruption."""
        self._document["complete"] = complete
        json_path, svg_path = self._paths()
        if json_path:
            text = json.dumps(self._document, indent=1)
            write_file(json_path, join_number_lists(text) + "\n")
        if svg_path and svg:
            write_file(svg_path, svg)

    def _paths(self) -> tuple[Path | None, Path | None]:
        json_path, svg_path = self._options.json, self._options.svg
        if self._options.record:
            stem = f"{self._started:%Y-%m-%d}-{self._options.record}"
            folder = REPOSITORY / "bench" / "results"
            json_path = json_path or folder / f"{stem}.json"
            svg_path = svg_path or folder / f"{stem}.svg"
        return json_path, svg_path


def join_number_lists(text: str) -> str:
    """Put lists of plain numbers on one line each, so that a diff of two results can be read."""
    return re.sub(r"\[[\s\d.,eE+-]+\]", lambda match: " ".join(match.group().split()), text)


def write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {path}")
