-- Lists of sessions on a database go back in time, as those of a role do; and so do those of a user's API tokens and public keys.
CREATE INDEX sessions_by_database ON sessions (org_id, target_db, id);
CREATE INDEX api_tokens ON tokens (org_id, id) WHERE name IS NOT NULL;
CREATE INDEX api_tokens_by_user ON tokens (org_id, user_id, id) WHERE name IS NOT NULL;

DROP INDEX user_keys_by_user;
CREATE INDEX user_keys_by_user ON user_keys (org_id, user_id, id);
