-- Public keys with which users come over SSH. `public_key` is OpenSSH's line without a comment. A key that was added with an
-- API token ends with it: `token_id`.
CREATE TABLE user_keys (
    org_id       UUID NOT NULL REFERENCES orgs (id),
    id           UUID NOT NULL,
    user_id      UUID NOT NULL,
    name         TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    public_key   TEXT NOT NULL,
    token_id     UUID,
    expires_at   BIGINT,
    last_used_at BIGINT,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, fingerprint),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX user_keys_by_user ON user_keys (org_id, user_id);
CREATE INDEX user_keys_by_token ON user_keys (org_id, token_id) WHERE token_id IS NOT NULL;
