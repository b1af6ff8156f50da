"""Registries that others run: Consul, etcd, Eureka and DNS."""
