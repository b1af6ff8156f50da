"""Adapters to external registries: Consul, etcd, Eureka and DNS."""
