"""What an operator does to a store: accounts, probes, purges."""
