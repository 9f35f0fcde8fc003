"""What happens to runs over time: the stream of their files, moves, retention."""
