"""Whether a version is worse than the baseline beside it: rules, evidence, and what follows."""
