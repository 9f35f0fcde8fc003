"""Makes a plan: reads which runs match, what hangs on them, and decides what goes. Deletes nothing."""
