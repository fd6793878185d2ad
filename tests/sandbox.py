"""Runs a command under what a systemd unit says of system calls and memory: for tests, without systemd.

    sandbox.py UNIT COMMAND...

The filter is made by libseccomp, which systemd itself uses; what a group of calls holds, systemd says.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ALLOW, ERRNO_EPERM = 0x7FFF0000, 0x00050000 | 1
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN = 38, 65, 1


def setting(unit, name):
    """All values of a setting, in their order."""
    lines = Path(unit).read_text().splitlines()
    return [line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")]


def calls(name):
    """The system calls of a name: itself, or those of a group."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [
        line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#")
    ]
    return set().union(*(calls(each) for each in found))


def allowed(unit):
    """The system calls that a unit allows; its first line must say which, as systemd has it."""
    found = set()
    for line in setting(unit, "SystemCallFilter"):
        names = set().union(*(calls(name) for name in line.removeprefix("~").split()))
        found = found - names if line.startswith("~") else found | names
    return found


def confine(unit):
    """This process and all that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if setting(unit, "MemoryDenyWriteExecute") == ["yes"]:
        assert libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0, "needs Linux 6.3"
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ERRNO_EPERM))
    for name in allowed(unit):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # not every machine has every call
            assert seccomp.seccomp_rule_add(context, ALLOW, number, 0) == 0, name
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # what the test says
