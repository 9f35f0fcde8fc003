"""Benchmarks against the wandb SDK's own client and against requests, printed as ratios."""
