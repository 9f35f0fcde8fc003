-- Registries have members, users or whole teams, and may take some types only. Users choose a default entity.
CREATE TABLE project_teams (
    project_id INTEGER NOT NULL, entity_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (project_id, entity_id)) WITHOUT ROWID;
ALTER TABLE projects ADD COLUMN any_type INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN default_entity_id INTEGER REFERENCES entities(id);
