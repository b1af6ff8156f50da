"""The circuit breaker: start at `breaker.py`; `machine.py` has its states and transitions."""
