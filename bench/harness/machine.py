"""What a recorded result has to say about where it comes from."""

import os
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def describe_machine() -> dict[str, object]:
    """CPU model, cores, memory, kernel, and how busy the machine is at this moment."""
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory.group(1)) // 1024 if memory else 0,
        "kernel": os.uname().release,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^(?:model name|Model|CPU part)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return model.group(1) if model else os.uname().machine


def describe_commit() -> dict[str, object]:
    """The checkout this harness stands in; `changed` says tracked files differ from it."""
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed": git("status", "--porcelain", "--untracked-files=no") != "",
    }


def git(*arguments: str) -> str:
    """Output of one git command, empty outside a checkout."""
    try:
        run = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip()
