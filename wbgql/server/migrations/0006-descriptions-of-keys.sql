-- What a key is for, in the words of whoever made it.
ALTER TABLE api_keys ADD COLUMN description TEXT;
