"""How a call is answered: who may call, and the servicer."""
