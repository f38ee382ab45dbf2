-- Lists of sessions of a role, of a name, of an outcome, and of those that have not ended, go back in time.
CREATE INDEX sessions_by_role ON sessions (org_id, role_name, id);
CREATE INDEX sessions_by_user_name ON sessions (org_id, user_name, id);
CREATE INDEX sessions_by_outcome ON sessions (org_id, outcome, id);
CREATE INDEX sessions_running ON sessions (org_id, id) WHERE state <> 'closed';

-- The token that a request came with, and the token's name, where it has one: that of a sign-in has none.
ALTER TABLE events ADD COLUMN token_id UUID;
ALTER TABLE events ADD COLUMN token_name TEXT;
