-- A content that only deleted versions hold is not found by its digest any more: it would come back.
UPDATE artifact_contents SET digest = 'deleted:' || id WHERE NOT EXISTS (
    SELECT 1 FROM artifact_files AS files JOIN artifacts ON artifacts.id = files.artifact_id
    WHERE files.content_id = artifact_contents.id AND artifacts.state <> 'DELETED');
