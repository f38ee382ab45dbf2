-- Secrets of roles that the gateway keeps, one for a field of the target. `ciphertext` is under a data key of its own;
-- `wrapped_key` is that data key under the operator's key that `key_id` names, which is nowhere in the store.
CREATE TABLE role_secrets (
    org_id      BLOB NOT NULL REFERENCES orgs (id),
    role_id     BLOB NOT NULL,
    field       TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    ciphertext  BLOB NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, role_id, field),
    FOREIGN KEY (org_id, role_id) REFERENCES roles (org_id, id) ON DELETE CASCADE
);

-- The key that an agent had before its last one, for as long as it is still good.
CREATE TABLE agent_old_keys (
    org_id     BLOB NOT NULL REFERENCES orgs (id),
    agent_id   BLOB NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    good_until BIGINT NOT NULL,
    PRIMARY KEY (org_id, agent_id),
    FOREIGN KEY (org_id, agent_id) REFERENCES agents (org_id, id) ON DELETE CASCADE
);
