"""The certificate authority of a fleet: SPIFFE ids, certificates of minutes, and the rotation of what signs them.

Start at `authority.py`: it keeps a root and an intermediate, and issues certificates. `workload_certificates.py` has
those in use and renews them. `rotation.py` decides, as a pure state machine, when what is renewed.
"""
