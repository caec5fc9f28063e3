"""What the kernel offers on processes and Python does not: their CPU clocks, and an end with us."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def cpu_clock_of(pid: int) -> int:
    """A clock for `time.clock_gettime` that counts the CPU time of all threads of `pid`."""
    clock = ctypes.c_int()
    code = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if code != 0:
        raise OSError(code, f"no CPU clock for process {pid}: {os.strerror(code)}")
    return clock.value


def die_with_parent() -> None:
    """For `preexec_fn`: has the kernel kill the child should the harness itself be killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
