"""What must not be deleted: legal holds, and the gate that asks for rights, host and holds."""
