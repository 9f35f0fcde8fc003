-- Every organization has an entity of its own, which holds its registries.
INSERT OR IGNORE INTO entities (name, kind, organization_id, created_at)
    SELECT name || '_registries', 'organization', id, created_at FROM organizations;
INSERT OR IGNORE INTO projects (entity_id, name, access, created_at, updated_at)
    SELECT entities.id, registries.column1, 'PRIVATE', entities.created_at, entities.created_at
    FROM entities JOIN (VALUES ('wandb-registry-model'), ('wandb-registry-dataset')) AS registries
    WHERE entities.kind = 'organization';
