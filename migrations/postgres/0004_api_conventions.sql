-- A change of a user, a role or an access rule names the version that it is meant for; each change makes the next one.
ALTER TABLE users ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE roles ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE access_rules ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- Requests with an Idempotency-Key, until they expire. `request` is a keyed hash: bodies hold passwords. `status` is there
-- once the request was answered; `headers` is JSON.
CREATE TABLE idempotency (
    org_id     UUID   NOT NULL REFERENCES orgs (id),
    user_id    UUID   NOT NULL,
    idem_key   TEXT   COLLATE "C" NOT NULL,
    request    BYTEA  NOT NULL,
    status     BIGINT,
    headers    TEXT,
    body       BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id, idem_key),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
