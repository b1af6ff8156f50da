"""The use cases of Analytics, one file for each; reads stand together."""
