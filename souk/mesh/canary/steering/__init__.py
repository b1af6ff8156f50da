"""The life of a canary: its plan, its states, its record, and the controller that takes it through them."""
