-- The name is in the definition, too; here it is unique and sorts.
CREATE TABLE access_rules (
    org_id     BLOB   NOT NULL REFERENCES orgs (id),
    id         BLOB   NOT NULL,
    name       TEXT   NOT NULL,
    definition TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);

-- Before there were rules, administrators could reach every role. Where there are some already, a rule says so from now
-- on, to be kept, narrowed or deleted; a new gateway has no such rule.
INSERT INTO access_rules (org_id, id, name, definition, created_at, updated_at)
SELECT o.id,
       X'01900000000070008000000000000001',
       'administrators',
       '{"name":"administrators","description":"Administrators may reach every role, as before there were access rules.","effect":"allow","subjects":{"kinds":["admin"]},"roles":{"names":["*"]}}',
       o.created_at,
       o.created_at
FROM orgs o
WHERE EXISTS (SELECT 1 FROM users u WHERE u.org_id = o.id);
