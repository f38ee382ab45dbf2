-- Every row belongs to an organisation, and every key begins with it. Times are microseconds since 1970-01-01 UTC, so that
-- they compare and sort alike on every engine; lists and settings are JSON. Names sort by their bytes, as on SQLite,
-- whatever the database's own collation is.

CREATE TABLE orgs (
    id         UUID   NOT NULL PRIMARY KEY,
    name       TEXT   COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    org_id               UUID    NOT NULL REFERENCES orgs (id),
    id                   UUID    NOT NULL,
    name                 TEXT    COLLATE "C" NOT NULL,
    kind                 TEXT    NOT NULL CHECK (kind IN ('admin', 'auditor', 'member')),
    password_hash        TEXT,
    must_change_password BOOLEAN NOT NULL,
    disabled             BOOLEAN NOT NULL,
    created_at           BIGINT  NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);

CREATE TABLE memberships (
    org_id     UUID NOT NULL REFERENCES orgs (id),
    user_id    UUID NOT NULL,
    group_name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, user_id, group_name),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX memberships_by_group ON memberships (org_id, group_name);

CREATE TABLE agents (
    org_id       UUID   NOT NULL REFERENCES orgs (id),
    id           UUID   NOT NULL,
    name         TEXT   COLLATE "C" NOT NULL,
    token_hash   BYTEA  NOT NULL UNIQUE,
    revoked_at   BIGINT,
    last_seen_at BIGINT,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);

CREATE TABLE roles (
    org_id         UUID   NOT NULL REFERENCES orgs (id),
    id             UUID   NOT NULL,
    name           TEXT   COLLATE "C" NOT NULL,
    agent          TEXT   NOT NULL,
    target         TEXT   NOT NULL,
    labels         TEXT   NOT NULL,
    recording      TEXT   NOT NULL CHECK (recording IN ('default', 'strict')),
    plugins        TEXT   NOT NULL,
    allowed_groups TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);

CREATE TABLE tokens (
    org_id       UUID   NOT NULL REFERENCES orgs (id),
    id           UUID   NOT NULL,
    user_id      UUID   NOT NULL,
    hash         BYTEA  NOT NULL UNIQUE,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX tokens_by_user ON tokens (org_id, user_id);

CREATE TABLE credentials (
    org_id       UUID   NOT NULL REFERENCES orgs (id),
    id           UUID   NOT NULL,
    login        TEXT   COLLATE "C" NOT NULL UNIQUE,
    user_id      UUID   NOT NULL,
    role_id      UUID   NOT NULL,
    salt         BYTEA  NOT NULL,
    iterations   BIGINT NOT NULL,
    stored_key   BYTEA  NOT NULL,
    server_key   BYTEA  NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX credentials_by_user ON credentials (org_id, user_id);

CREATE TABLE sessions (
    org_id      UUID   NOT NULL REFERENCES orgs (id),
    id          UUID   NOT NULL,
    request_id  UUID   NOT NULL,
    user_id     UUID   NOT NULL,
    user_name   TEXT   NOT NULL,
    role_id     UUID   NOT NULL,
    role_name   TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    mode        TEXT   NOT NULL,
    source      TEXT,
    application TEXT,
    target_db   TEXT,
    state       TEXT   NOT NULL CHECK (state IN ('opening', 'running', 'closed')),
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    outcome     TEXT,
    code        TEXT,
    reason      TEXT,
    totals      TEXT,
    log_head    TEXT,
    log_records BIGINT,
    PRIMARY KEY (org_id, id)
);

CREATE INDEX sessions_by_user ON sessions (org_id, user_id, id);
CREATE INDEX sessions_open ON sessions (org_id, user_id) WHERE state <> 'closed';

-- What was done through the API. There is no foreign key: the trail outlives what it tells of.
CREATE TABLE events (
    org_id     UUID   NOT NULL REFERENCES orgs (id),
    id         UUID   NOT NULL,
    request_id UUID   NOT NULL,
    user_id    UUID,
    user_name  TEXT,
    action     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    source     TEXT,
    status     BIGINT NOT NULL,
    code       TEXT,
    at         BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
