-- What happens within a session can need somebody's agreement, too: a statement, a command, a request. `subject` is what whoever
-- decides reads, without its secrets; `asked_hash` is over the bytes themselves. An approval of such is good once. A request is not
-- waited for: whoever sends it again is known by the hash.
ALTER TABLE reviews ADD COLUMN kind TEXT NOT NULL DEFAULT 'session'
    CHECK (kind IN ('session', 'statement', 'command', 'request'));
ALTER TABLE reviews ADD COLUMN subject TEXT;

CREATE INDEX reviews_by_hash ON reviews (org_id, user_id, asked_hash, id);
