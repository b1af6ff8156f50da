"""The contract that the suite of calls is run with; generated from probe.proto by tools of the protoc family."""
