-- A program's account is a user that has no password: rules, credentials and sessions are the same for both.
ALTER TABLE users ADD COLUMN service_account BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN created_by TEXT;
CREATE INDEX service_accounts ON users (org_id, name) WHERE service_account;

-- A token with a name is for programs, and for what its scopes (JSON) say; one without is a sign-in.
ALTER TABLE tokens ADD COLUMN name TEXT;
ALTER TABLE tokens ADD COLUMN scopes TEXT;

-- The token with which a credential was made: it ends with it.
ALTER TABLE credentials ADD COLUMN token_id UUID;
CREATE INDEX credentials_by_token ON credentials (org_id, token_id) WHERE token_id IS NOT NULL;
