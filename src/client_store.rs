//! The trait for keeping client records and access tokens. The journeys know only [`ClientStore`]; `store_client` implements it over the
//! API of the store service.

use std::future::Future;
use std::rc::Rc;

use dcr_jose::jws::{Jws, Limits};
use dcr_json::{self as json, ReadError, json_struct};
use dcr_policy::access_token::Introspection;
use dcr_policy::certificate_binding::Binding;
use dcr_policy::client_metadata::ClientMetadata;
use dcr_policy::software_keys::SoftwareKeys;
use dcr_policy::software_statement::SoftwareStatement;
use dcr_policy::{Rule, Timestamp};
use dcr_store_protocol::Software;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::JwksConfig;

/// The deepest nesting of the claims of a statement in a record.
const RECORD_DEPTH: usize = 32;

/// Keeps client records, single-use ids and access tokens. Each method is one transaction: it does everything that it describes, or
/// nothing.
pub trait ClientStore {
    /// Consumes the ids and creates a client. With `single`, a second registration of the same software is refused. With `with_token`, the
    /// client also gets a token that manages the registration (RFC 7592 section 3).
    ///
    /// # Errors
    /// `Replayed`, `DuplicateSoftware`, `Unavailable`.
    fn create(
        &self,
        origin: Origin<'_>,
        record: Record,
        single_uses: Vec<SingleUse>,
        single: bool,
        with_token: bool,
    ) -> impl Future<Output = Result<Client, StoreError>>;

    /// The client with this id.
    ///
    /// # Errors
    /// `UnknownClient`, `Unavailable`.
    fn client(&self, client_id: &str) -> impl Future<Output = Result<Client, StoreError>>;

    /// The client with this id, for the token endpoint. Its record may be some seconds old: before a refusal by such a record, ask
    /// [`Self::has_changed`]. [`Self::issue_token`] issues no token if the record is out of date.
    ///
    /// # Errors
    /// As [`Self::client`].
    fn client_at_hand(&self, client_id: &str) -> impl Future<Output = Result<FoundClient, StoreError>>;

    /// Whether the record of this client may be out of date: it was updated or deleted, or the store does not answer.
    fn has_changed(&self, client: &TokenClient) -> impl Future<Output = bool>;

    /// Consumes the ids and replaces the record of `client`, unless the record was changed since it was read.
    ///
    /// # Errors
    /// `Replayed`, `UnknownClient`, `VersionMismatch`, `Unavailable`.
    fn replace(
        &self,
        client: &Client,
        record: Record,
        single_uses: Vec<SingleUse>,
    ) -> impl Future<Output = Result<Client, StoreError>>;

    /// Deletes the client and its tokens.
    ///
    /// # Errors
    /// `UnknownClient`, `Unavailable`.
    fn delete(&self, client_id: &str) -> impl Future<Output = Result<(), StoreError>>;

    /// Issues a token that is valid for `lifetime` seconds and bound to the certificate with this `thumbprint`. It consumes the id of the
    /// client assertion, if there is one. It issues no token if the client was changed since it was read.
    ///
    /// # Errors
    /// `Replayed`, `UnknownClient`, `VersionMismatch`, `Unavailable`. After each of them, the next read of the client asks the store again.
    fn issue_token(
        &self,
        origin: Origin<'_>,
        client: &TokenClient,
        scope: &str,
        lifetime: u64,
        thumbprint: &str,
        jti: Option<SingleUse>,
    ) -> impl Future<Output = Result<IssuedToken, StoreError>>;

    /// The state of a token.
    ///
    /// # Errors
    /// `Unavailable`.
    fn introspect(&self, token: &str) -> impl Future<Output = Result<Introspection, StoreError>>;

    /// Revokes a token.
    ///
    /// # Errors
    /// `Unavailable`.
    fn revoke(&self, token: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// What names a request of a caller in the store's log and in its trace. Both texts are harmless.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Envoy's id of the request.
    pub request_id: Option<&'a str>,
    /// The trace that the request belongs to (W3C Trace Context).
    pub traceparent: Option<&'a str>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// The id. The store makes it.
    pub client_id: String,
    /// Unix time of the registration, in seconds.
    pub client_id_issued_at: Timestamp,
    /// The number of the record's version. Each update increases it; If-Match carries it.
    pub version: u64,
    /// The registered data.
    pub record: Record,
    /// The token that manages the registration. It is present only at creation (RFC 7592 section 3).
    pub registration_access_token: Option<String>,
}

json_struct!(Client { client_id, client_id_issued_at, version, record, registration_access_token, .. });

/// The part of a client that the token endpoint needs: its record without the statement.
#[derive(Debug)]
pub struct TokenClient {
    /// The id. The store makes it.
    pub client_id: String,
    /// The version of the record. The store issues no token for another version.
    pub version: u64,
    /// The registered metadata.
    pub metadata: ClientMetadata,
    /// `iss` of the directory that signed its statement.
    pub issuer: String,
    /// The certificates that the client may use.
    pub binding: Binding,
    /// The client's keys.
    pub keys: SoftwareKeys,
    /// The URL of the key set in which the directory lists revoked keys of the client, if the statement named one (SS-14).
    pub revoked_key_set_uri: Option<String>,
}

/// A client at the token endpoint.
#[derive(Debug, Clone)]
pub struct FoundClient {
    /// The client.
    pub client: Rc<TokenClient>,
    /// Whether the record comes from a cache and may be out of date.
    pub is_from_cache: bool,
}

/// The data that a registration keeps.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// The registered metadata.
    pub metadata: ClientMetadata,
    /// The software statement as the directory issued it.
    pub software_statement: Rc<str>,
    /// The statement's claims.
    #[serde(skip)]
    pub statement_claims: Rc<Map<String, Value>>,
    /// `iss` of the directory that signed the statement.
    pub issuer: String,
    /// The certificates that the client may use.
    pub binding: Binding,
    /// The client's keys, as the member `key_set_uri` or `key_set`.
    #[serde(flatten)]
    pub keys: SoftwareKeys,
    /// The URL of the key set in which the directory lists revoked keys of the client, if the statement named one (SS-14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_key_set_uri: Option<String>,
}

json_struct!(Record {
    metadata,
    software_statement,
    statement_claims = Rc::default(),
    issuer,
    binding,
    keys = SoftwareKeys::blank(),
    revoked_key_set_uri,
    ..
} and keys_and_claims);

/// An issued access token, as the token endpoint answers it (RFC 6749 section 5.1).
#[derive(Debug, Clone, Serialize)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// The lifetime, in seconds.
    pub expires_in: u64,
    /// The granted scope.
    pub scope: String,
}

/// An id that may be used once.
#[derive(Debug, Clone)]
pub struct SingleUse {
    /// The issuer of the id. Equal ids of different issuers do not collide.
    pub issuer: String,
    /// The id.
    pub jti: String,
    /// Unix time until which the id must be remembered, in seconds.
    pub expires_at: Timestamp,
    /// The rule that a second use breaks.
    pub rule: &'static Rule,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// The store cannot be reached, is too slow, or breaks the API. It is unknown whether anything was changed.
    Unavailable,
    /// The client does not exist.
    UnknownClient,
    /// A single-use id was used before, which breaks this rule; nothing was changed.
    Replayed(&'static Rule),
    /// The software is registered already; nothing was changed.
    DuplicateSoftware,
    /// The record was changed meanwhile; nothing was changed.
    VersionMismatch,
    /// An id would expire in the past by the store's clock; nothing was changed.
    ClocksApart,
}

impl TokenClient {
    /// Keeps the part of a client that the token endpoint needs.
    pub fn of(client: Client) -> Self {
        let Record { metadata, issuer, binding, keys, revoked_key_set_uri, .. } = client.record;
        let Client { client_id, version, .. } = client;
        Self { client_id, version, metadata, issuer, binding, keys, revoked_key_set_uri }
    }

    /// An estimate of the memory that it takes, in bytes. Each member takes its text, and its name or its place in a list.
    pub fn bytes(&self) -> usize {
        let text = serde_json::to_string(&(&self.metadata, &self.binding)).map_or(0, |text| text.len());
        let keys = match &self.keys {
            SoftwareKeys::Uri(uri) => uri.len(),
            SoftwareKeys::ByValue(keys) => JwksConfig::weight(keys.bytes().saturating_mul(2), keys.key_set().usable()),
        };
        1024_usize.saturating_add(text.saturating_mul(2)).saturating_add(self.issuer.len()).saturating_add(keys)
    }
}

impl Record {
    /// Reads the keys from the member that the record has. The store keeps the claims only inside the statement, so they are read from it.
    fn keys_and_claims(&mut self, record: &Value) -> Result<(), ReadError> {
        self.keys = json::read(record)?;
        let limits = Limits { token_bytes: usize::MAX, json_depth: RECORD_DEPTH };
        let statement = Jws::parse(self.software_statement.as_bytes(), &limits).ok();
        let claims = statement.and_then(|statement| json::parse_object(statement.payload(), RECORD_DEPTH).ok());
        self.statement_claims = Rc::new(claims.ok_or_else(|| ReadError::new("the software_statement is not a JWT"))?);
        Ok(())
    }

    /// The record of an accepted registration request.
    pub fn of(statement: &SoftwareStatement, binding: Binding, metadata: ClientMetadata) -> Self {
        Self {
            metadata,
            software_statement: statement.token().clone(),
            statement_claims: statement.claims().clone(),
            issuer: statement.issuer().to_owned(),
            binding,
            keys: statement.keys().clone(),
            revoked_key_set_uri: statement.revoked_key_set_uri().map(str::to_owned),
        }
    }

    /// The software of the registration. The store compares registrations by it.
    pub fn software(&self) -> Software<&str> {
        Software { issuer: &self.issuer, id: &self.binding.software_id }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journey::tests::PKI;

    /// A record as the first versions wrote it, with other members on top.
    fn record(more: Value) -> Value {
        let statement = dcr_mint::software_statement(&PKI.tpp.software, "https://keystore.example");
        let mut record = json!({
            "metadata": {
                "redirect_uris": ["https://tpp.example/callback"],
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["client_credentials"],
                "response_types": [],
                "application_type": "web",
                "scope": "accounts",
                "software_id": "software",
                "tls_client_certificate_bound_access_tokens": true
            },
            "software_statement": statement.sign(&PKI.directory).unwrap(),
            "issuer": "directory",
            "binding": { "software_id": "software", "organisation_id": "organisation", "registration_ids": [] }
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    }

    #[test]
    fn a_record_has_a_url_of_keys_or_keys() {
        let (uri, keys) = (json!("https://keystore.example/software.jwks"), json!({ "keys": [] }));
        for one in [json!({ "key_set_uri": uri }), json!({ "key_set": keys })] {
            let stored = record(one);
            let read: Record = json::read(&stored).unwrap();
            assert_eq!(json!(read), stored, "it is written as it was read");
        }
        for wrong in [
            json!({}),
            json!({ "key_set_uri": uri, "key_set": keys }),
            json!({ "key_set_uri": 7 }),
            json!({ "key_set": [] }),
            json!({ "key_set": { "keys": vec![json!({}); 33] } }),
        ] {
            assert!(json::read::<Record>(&record(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
