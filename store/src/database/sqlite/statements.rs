//! The SQL statements of the operations. Each runs in the transaction that is open on its connection.

use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use crate::database::Refusal;
use crate::database::backend::{ClientToCreate, TokenToIssue, check_expiry};
use crate::database::identifiers::NewSecret;
use crate::model::{
    ActiveToken, Client, IssuedToken, Jti, NewClient, NewToken, Record, Software, TokenType, TokenUse, WrittenClient,
};

pub(super) fn find_client(data: &Connection, client_id: String) -> Result<Option<Client>, Error> {
    let mut select = data.prepare_cached(
        "SELECT issued_at, version, software_issuer, software_id, record FROM clients WHERE client_id = ?1",
    )?;
    let found = select.query_row([&client_id], |row| {
        let software = Software { issuer: row.get(2)?, id: row.get(3)? };
        Ok((row.get(0)?, row.get(1)?, software, row.get(4)?))
    });
    let Some((client_id_issued_at, version, software, record)) = found.optional()? else { return Ok(None) };
    Ok(Some(Client { client_id, client_id_issued_at, version, software, record: Record::from_text(record)? }))
}

pub(super) fn find_access_token(data: &Connection, digest: &str, now: i64) -> Result<Option<ActiveToken>, Error> {
    let mut select = data.prepare_cached(
        "SELECT client_id, issued_at, scope, certificate_thumbprint, expires_at FROM access_tokens
         WHERE token_digest = ?1 AND expires_at > ?2",
    )?;
    let found = select.query_row(params![digest, now], |row| {
        let token_use =
            TokenUse::Access { scope: row.get(2)?, certificate_thumbprint: row.get(3)?, expires_at: row.get(4)? };
        Ok(ActiveToken { client_id: row.get(0)?, issued_at: row.get(1)?, token_use })
    });
    Ok(found.optional()?)
}

pub(super) fn find_registration_token(data: &Connection, digest: &str) -> Result<Option<ActiveToken>, Error> {
    let mut select =
        data.prepare_cached("SELECT client_id, issued_at FROM clients WHERE registration_token_digest = ?1")?;
    let found = select.query_row([digest], |row| {
        Ok(ActiveToken { client_id: row.get(0)?, issued_at: row.get(1)?, token_use: TokenUse::Registration })
    });
    Ok(found.optional()?)
}

pub(super) fn create_client(work: &Connection, client: ClientToCreate, now: i64) -> Result<WrittenClient, Error> {
    let ClientToCreate { client_id, registration_access_token, new } = client;
    let NewClient { software, single_registration, consume_jti, record, .. } = new;
    consume(work, &consume_jti, now)?;
    if single_registration && is_registered(work, &software)? {
        return Err(Refusal::DuplicateSoftware.into());
    }
    let digest = registration_access_token.as_ref().map(|secret| &secret.digest);
    work.prepare_cached(
        "INSERT INTO clients
             (client_id, issued_at, version, software_issuer, software_id, record, registration_token_digest)
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![client_id, now, software.issuer, software.id, record.text(), digest])?;
    let registration_access_token = registration_access_token.map(|secret| secret.token);
    Ok(WrittenClient { client_id, client_id_issued_at: now, version: 1, software, registration_access_token })
}

pub(super) fn issue_token(work: &Connection, token: TokenToIssue, now: i64) -> Result<IssuedToken, Error> {
    let TokenToIssue { access_token: NewSecret { token: access_token, digest }, new } = token;
    let NewToken { client_id, version, scope, expires_in, cnf, consume_jti, .. } = new;
    let current = version_of(work, &client_id)?.ok_or(Refusal::UnknownClient)?;
    if version.is_some_and(|version| version != current) {
        return Err(Refusal::VersionMismatch.into());
    }
    consume(work, &consume_jti, now)?;
    let expires_at = now.saturating_add(expires_in);
    work.prepare_cached(
        "INSERT INTO access_tokens (token_digest, client_id, scope, certificate_thumbprint, issued_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![digest, client_id, scope, cnf.certificate_thumbprint, now, expires_at])?;
    Ok(IssuedToken { client_id, access_token, token_type: TokenType::Bearer, expires_in, scope, cnf })
}

/// Consumes every `jti`. On an error the caller undoes its savepoint, so that none is consumed.
///
/// An expired row counts as absent, even if it is not purged yet. It is overwritten.
pub(super) fn consume(work: &Connection, every: &[Jti], now: i64) -> Result<(), Error> {
    let mut insert = work.prepare_cached(
        "INSERT INTO used_jti (issuer, jti, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (issuer, jti) DO UPDATE SET expires_at = excluded.expires_at WHERE used_jti.expires_at < ?4",
    )?;
    for (index, jti) in every.iter().enumerate() {
        check_expiry(jti, now)?;
        if insert.execute(params![jti.issuer, jti.jti, jti.expires_at, now])? == 0 {
            return Err(Refusal::Replayed { index }.into());
        }
    }
    Ok(())
}

fn is_registered(work: &Connection, software: &Software) -> Result<bool, Error> {
    let mut select = work.prepare_cached("SELECT 1 FROM clients WHERE software_issuer = ?1 AND software_id = ?2")?;
    Ok(select.exists([&software.issuer, &software.id])?)
}

fn version_of(work: &Connection, client_id: &str) -> Result<Option<i64>, Error> {
    let mut select = work.prepare_cached("SELECT version FROM clients WHERE client_id = ?1")?;
    Ok(select.query_row([client_id], |row| row.get(0)).optional()?)
}
