-- Plain SQL on purpose: types and statements that SQLite and PostgreSQL both take. Times are Unix seconds.

CREATE TABLE clients (
    client_id       TEXT   NOT NULL PRIMARY KEY,
    issued_at       BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    software_issuer TEXT   NOT NULL,
    software_id     TEXT   NOT NULL,
    record          TEXT   NOT NULL
);

-- Not unique: whether a software may hold several registrations is said with each request (`single_registration`).
CREATE INDEX clients_by_software ON clients (software_issuer, software_id);

CREATE TABLE used_jti (
    issuer     TEXT   NOT NULL,
    jti        TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);

CREATE INDEX used_jti_by_expiry ON used_jti (expires_at);

-- `token_digest` is the SHA-256 of the token as base64url without padding; the token itself is never written.
CREATE TABLE access_tokens (
    token_digest           TEXT   NOT NULL PRIMARY KEY,
    client_id              TEXT   NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    scope                  TEXT   NOT NULL,
    certificate_thumbprint TEXT   NOT NULL,
    issued_at              BIGINT NOT NULL,
    expires_at             BIGINT NOT NULL
);

CREATE INDEX access_tokens_by_client ON access_tokens (client_id);

CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);
