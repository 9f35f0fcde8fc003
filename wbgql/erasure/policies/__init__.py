"""Retention policies: rules in YAML, and sweeps that plan by them."""
