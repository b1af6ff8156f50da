"""The manifests of deploy/kubernetes, on Kubernetes' own control plane, and as containers."""
