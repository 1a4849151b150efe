"""The process that takes checkpoints (`topology.history.upkeep`): as much in the background as can be, from its start.

It reads as much as the stages write. Loading its modules alone takes half a second of a core, so it steps back before it
loads them: on a core that is full it does nothing, and it ends what it does within microseconds when a stage wakes.
"""

import os
import sys

_NICE = 19

if __name__ == "__main__":
    os.nice(_NICE)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    from topology.history.upkeep import main

    sys.exit(main(sys.argv[1:]))
