"""How a call is answered: the check of its caller, the dispatcher and the context of a handler."""
