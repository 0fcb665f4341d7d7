-- The SHA-256 of a client's registration access token (RFC 7592 section 3) as base64url without padding; NULL where the client has
-- none, or none any more. It was issued when the client was, is good for one client, and goes with its row.
ALTER TABLE clients ADD COLUMN registration_token_digest TEXT;

CREATE UNIQUE INDEX clients_by_registration_token ON clients (registration_token_digest);
