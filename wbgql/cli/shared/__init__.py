"""What all commands share: the app, output, exit codes, approval, completion of keys."""
