-- Sign-ins that somebody decides on in a browser. `code_hash` is of the code that the client shows (SHA-256), `user_code_hash`
-- of the one that a person types in: a keyed hash, since it is short. `token_id` is the sign-in that it was approved with,
-- `issued_id` the one that came of it. Rows go some time after they have expired.
CREATE TABLE sign_in_requests (
    org_id           BLOB NOT NULL REFERENCES orgs (id),
    code_hash        BLOB NOT NULL,
    user_code_hash   BLOB,
    client           TEXT NOT NULL,
    source           TEXT,
    redirect_uri     TEXT,
    challenge        TEXT,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    user_id          BLOB,
    token_id         BLOB,
    issued_id        BLOB,
    interval_seconds BIGINT NOT NULL,
    polled_at        BIGINT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    PRIMARY KEY (org_id, code_hash),
    UNIQUE (org_id, user_code_hash),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
);

CREATE INDEX sign_in_requests_by_expiry ON sign_in_requests (expires_at);
