"""The folder of one case: its files, lock and log of commands."""
