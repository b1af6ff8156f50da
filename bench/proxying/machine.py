"""How steady the machine is: `python -m bench.proxying.machine SECONDS` prints the share of the time that it was slow.

The same small work is done again and again, a twentieth of the time, and its CPU time is taken. A program that takes
the core away does not lengthen that; a machine whose cores are slowed down from outside (a virtual one on a busy host)
does. A server that is half busy gathers a backlog in such a time, one that is hardly busy does not.
"""

import sys
import time

_UNIT = 4_000
_REST = 0.004
_SLOW = 2.0
"""Times the usual CPU time of the work, from which on the machine counts as slow."""


def slowness(seconds: float) -> float:
    """Measures for that time; returns the share of samples, in percent, in which the machine was slow."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.thread_time()
        total = 0
        for number in range(_UNIT):
            total += number
        taken.append(time.thread_time() - began)
        time.sleep(_REST)
    usual = sorted(taken)[len(taken) // 2]
    return 100.0 * sum(one > _SLOW * usual for one in taken) / len(taken)


if __name__ == "__main__":
    print(slowness(float(sys.argv[1])))
