"""The fleet: a supervisor, and the processes that it keeps: `souk up --topology fleet`.

capacity, starting, launch                         what is decided: no process, no clock
managed_process, replica_set, fleet                processes: one kept alive, one service, all
orphans                                            what is left of them, and of an earlier supervisor's
supervisor                                         in which order all of it comes up and goes
"""
