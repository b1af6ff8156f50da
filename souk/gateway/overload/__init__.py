"""Load shedding: a gateway that is given more than it can do refuses the least important requests, at once.

    samples of the event loop's lag -> limit of running requests -> its share for a priority -> goes on, or Problem 503

- `concurrency.py`: the adaptive limit, pure: additive increase, multiplicative decrease.
- `gate.py`: counts running requests, and lets one in by the priority that its contract names.
- `lag.py`: measures the event loop's lag.
"""
