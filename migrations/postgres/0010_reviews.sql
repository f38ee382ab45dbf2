-- What somebody of a group must agree to before it is done. A review belongs to the session that asked for it, or was asked for
-- before there is one. `asked_hash` is over who asks for what: the target of the role as it was, the database, the group. An
-- approval is good until `good_until`, where `good_once` for one session, which is then `used_by`. Nobody decides on their own.
-- There is no foreign key to users: who agreed to what outlives them.
CREATE TABLE reviews (
    org_id       UUID    NOT NULL REFERENCES orgs (id),
    id           UUID    NOT NULL,
    request_id   UUID    NOT NULL,
    session_id   UUID,
    user_id      UUID    NOT NULL,
    user_name    TEXT    NOT NULL,
    role_id      UUID    NOT NULL,
    role_name    TEXT    NOT NULL,
    mode         TEXT    NOT NULL,
    target_db    TEXT,
    source       TEXT,
    group_name   TEXT    NOT NULL,
    rule         TEXT,
    reason       TEXT,
    asked_hash   BYTEA   NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn')),
    decided_by   UUID,
    decided_name TEXT,
    decided_at   BIGINT,
    comment      TEXT,
    good_until   BIGINT,
    good_once    BOOLEAN NOT NULL,
    used_by      UUID,
    used_at      BIGINT,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK (decided_by IS NULL OR decided_by <> user_id),
    CHECK ((state IN ('approved', 'denied')) = (decided_by IS NOT NULL))
);

CREATE INDEX reviews_by_user ON reviews (org_id, user_id, id);
CREATE INDEX reviews_by_group ON reviews (org_id, group_name, id);
CREATE INDEX reviews_pending ON reviews (org_id, id) WHERE state = 'pending';

-- The review by which a session was let in.
ALTER TABLE sessions ADD COLUMN review_id UUID;
