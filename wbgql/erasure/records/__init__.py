"""What a case writes down: plan, approvals, actions, journal, verification. No I/O but their files."""
