"""The AsyncAPI document: the events of all services, for people and for programs."""
