"""Histories: windows of steps, scans, samples, many runs, exports, tables."""
