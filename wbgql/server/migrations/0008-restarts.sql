-- From which line a new process with the id of an old one would begin each stream.
ALTER TABLE runs ADD COLUMN restart TEXT;
