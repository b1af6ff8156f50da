"""The fleet: a supervisor, and the processes that it keeps: `souk up --topology fleet`.

plan, restarting, starting, environment, processes_file
                                                   what is decided: no process, no clock, no file
launcher, child, slot, part, fleet                 processes: one life, one place, one service, all
orphans, leftovers                                 what is left of them, and of an earlier supervisor's
postgres_*, valkey, credentials, engine_user       engines out of wheels
supervisor                                         in which order all of it comes up and goes
"""
