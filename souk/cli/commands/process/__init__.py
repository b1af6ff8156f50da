"""Commands that run one process of a system: a service, the gateway, or an application that joins."""
