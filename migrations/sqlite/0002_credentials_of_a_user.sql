-- The list of a user's credentials goes back in time, and is a range of this index.

DROP INDEX credentials_by_user;
CREATE INDEX credentials_by_user ON credentials (org_id, user_id, id);
