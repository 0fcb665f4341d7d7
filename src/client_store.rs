//! What keeps client records and access tokens. The journeys know the trait [`ClientStore`] only; `store_client` implements it over the API
//! of the store service.

use std::future::Future;
use std::rc::Rc;

use dcr_jose::jws::{Jws, Limits};
use dcr_json::{self as json, ReadError, json_struct};
use dcr_policy::access_token::Introspection;
use dcr_policy::certificate_binding::Binding;
use dcr_policy::client_metadata::ClientMetadata;
use dcr_policy::software_statement::SoftwareStatement;
use dcr_policy::{Rule, Timestamp};
use dcr_store_protocol::Software;
use serde::Serialize;
use serde_json::{Map, Value};

/// How deep the claims of a kept statement may nest.
const RECORD_DEPTH: usize = 32;

/// Keeps client records, single-use ids and access tokens. Each method is one transaction: it does all that it says, or nothing.
pub trait ClientStore {
    /// Consumes the ids, refuses a second registration of the software where `single`, and creates a client; `with_token` makes a token
    /// that manages the registration (RFC 7592 section 3). `request_id` names the request in the store's log.
    ///
    /// # Errors
    /// `Replayed`, `DuplicateSoftware`, `Unavailable`.
    fn create(
        &self,
        request_id: Option<&str>,
        record: Record,
        single_uses: Vec<SingleUse>,
        single: bool,
        with_token: bool,
    ) -> impl Future<Output = Result<Client, StoreError>>;

    /// The client of that id.
    ///
    /// # Errors
    /// `UnknownClient`, `Unavailable`.
    fn client(&self, client_id: &str) -> impl Future<Output = Result<Client, StoreError>>;

    /// The client of that id, for the token endpoint. Its record may be some seconds old: before a refusal by such a record, ask
    /// [`Self::has_changed`]. [`Self::issue_token`] issues no token by an old record.
    ///
    /// # Errors
    /// As [`Self::client`].
    fn client_at_hand(&self, client_id: &str) -> impl Future<Output = Result<FoundClient, StoreError>>;

    /// Whether the record of this client may be another one by now: it was updated or deleted, or the store does not answer.
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

    /// Consumes the assertion's id, where there is one, and issues a token of `lifetime` seconds that is bound to the certificate of this
    /// thumbprint, unless the client was changed since it was read. `request_id` names the request in the store's log.
    ///
    /// # Errors
    /// `Replayed`, `UnknownClient`, `VersionMismatch`, `Unavailable`. After each, the next read of the client is a new one.
    fn issue_token(
        &self,
        request_id: Option<&str>,
        client: &TokenClient,
        scope: &str,
        lifetime: u64,
        thumbprint: &str,
        jti: Option<SingleUse>,
    ) -> impl Future<Output = Result<IssuedToken, StoreError>>;

    /// What the store knows of a token.
    ///
    /// # Errors
    /// `Unavailable`.
    fn introspect(&self, token: &str) -> impl Future<Output = Result<Introspection, StoreError>>;

    /// Makes a token unusable.
    ///
    /// # Errors
    /// `Unavailable`.
    fn revoke(&self, token: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Made by the store.
    pub client_id: String,
    /// When it was made.
    pub client_id_issued_at: Timestamp,
    /// Counts the updates, for If-Match.
    pub version: u64,
    /// What was registered.
    pub record: Record,
    /// The token that manages the registration; it is shown once, at creation (RFC 7592 section 3).
    pub registration_access_token: Option<String>,
}

json_struct!(Client { client_id, client_id_issued_at, version, record, registration_access_token, .. });

/// What the token endpoint needs to know of a client: its record without the statement.
#[derive(Debug)]
pub struct TokenClient {
    /// Made by the store.
    pub client_id: String,
    /// Which of its records this is: the store issues nothing by another one.
    pub version: u64,
    /// The metadata as it was registered.
    pub metadata: ClientMetadata,
    /// The directory that signed its statement.
    pub issuer: String,
    /// Whose certificates are the client's.
    pub binding: Binding,
    /// Where the client's keys are.
    pub key_set_uri: String,
    /// Where the directory lists those of them that it has revoked, if statements say it (SS-14).
    pub revoked_key_set_uri: Option<String>,
}

/// A client at the token endpoint.
#[derive(Debug, Clone)]
pub struct FoundClient {
    /// The client.
    pub client: Rc<TokenClient>,
    /// Whether it was read some time ago, and may have changed since.
    pub is_from_cache: bool,
}

/// What a registration keeps.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// The metadata as it was registered.
    pub metadata: ClientMetadata,
    /// The software statement as the directory issued it.
    pub software_statement: Rc<str>,
    /// The statement's claims.
    #[serde(skip)]
    pub statement_claims: Rc<Map<String, Value>>,
    /// The directory that signed it.
    pub issuer: String,
    /// Whose certificates are the client's.
    pub binding: Binding,
    /// Where the client's keys are.
    pub key_set_uri: String,
    /// Where the directory lists those of them that it has revoked, if the statement said it (SS-14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_key_set_uri: Option<String>,
}

json_struct!(Record {
    metadata,
    software_statement,
    statement_claims = Rc::default(),
    issuer,
    binding,
    key_set_uri,
    revoked_key_set_uri,
    ..
} and claims_of_statement);

/// An issued access token, as the token endpoint answers it (RFC 6749 section 5.1).
#[derive(Debug, Clone, Serialize)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds from now.
    pub expires_in: u64,
    /// The granted scope.
    pub scope: String,
}

/// An id that may be used once.
#[derive(Debug, Clone)]
pub struct SingleUse {
    /// Whose id it is: equal ids of different issuers do not collide.
    pub issuer: String,
    /// The id.
    pub jti: String,
    /// Until when it must be remembered.
    pub expires_at: Timestamp,
    /// The rule that a second use breaks.
    pub rule: &'static Rule,
}

/// The store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// It is out of reach, too slow, or does not speak the API. Nothing is known to have happened.
    Unavailable,
    /// The client does not exist.
    UnknownClient,
    /// A single-use id was used before, which breaks this rule; nothing was changed.
    Replayed(&'static Rule),
    /// The software is registered already; nothing was changed.
    DuplicateSoftware,
    /// The record was changed meanwhile; nothing was changed.
    VersionMismatch,
}

impl TokenClient {
    /// What of a client the token endpoint needs.
    pub fn of(client: Client) -> Self {
        let Record { metadata, issuer, binding, key_set_uri, revoked_key_set_uri, .. } = client.record;
        let Client { client_id, version, .. } = client;
        Self { client_id, version, metadata, issuer, binding, key_set_uri, revoked_key_set_uri }
    }

    /// About how much memory it takes, in bytes: each member takes its text, and its name or its place in a list.
    pub fn bytes(&self) -> usize {
        let text = serde_json::to_string(&(&self.metadata, &self.binding)).map_or(0, |text| text.len());
        1024_usize.saturating_add(text.saturating_mul(2)).saturating_add(self.issuer.len() + self.key_set_uri.len())
    }
}

impl Record {
    /// The claims are kept in the statement only.
    fn claims_of_statement(&mut self, _record: &Value) -> Result<(), ReadError> {
        let limits = Limits { token_bytes: usize::MAX, json_depth: RECORD_DEPTH };
        let statement = Jws::parse(self.software_statement.as_bytes(), &limits).ok();
        let claims = statement.and_then(|statement| json::parse_object(statement.payload(), RECORD_DEPTH).ok());
        self.statement_claims = Rc::new(claims.ok_or_else(|| ReadError::new("the software_statement is not a JWT"))?);
        Ok(())
    }

    /// The record of an approved request.
    pub fn of(statement: &SoftwareStatement, binding: Binding, metadata: ClientMetadata) -> Self {
        Self {
            metadata,
            software_statement: statement.token().clone(),
            statement_claims: statement.claims().clone(),
            issuer: statement.issuer().to_owned(),
            binding,
            key_set_uri: statement.key_set_uri().to_owned(),
            revoked_key_set_uri: statement.revoked_key_set_uri().map(str::to_owned),
        }
    }

    /// Whose registration it is, as the store compares registrations.
    pub fn software(&self) -> Software<&str> {
        Software { issuer: &self.issuer, id: &self.binding.software_id }
    }
}
