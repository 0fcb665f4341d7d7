//! The typed client of the store's API, and the clients that the token endpoint has at hand. Whatever the store answers that its API does not say is the same as no answer.

mod orders;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_jose::jws::{Jws, Limits};
use dcr_json::{self as json, FromJson, ReadError, json_struct};
use dcr_policy::access_token::Introspection;
use dcr_policy::certificate_binding::Binding;
use dcr_policy::client_metadata::ClientMetadata;
use dcr_policy::software_statement::SoftwareStatement;
use dcr_policy::{Rule, Timestamp};
use dcr_store_protocol::{
    Confirmation, ErrorCode, Jti, Kind, NewClient, NewToken, RETURN_MINIMAL, Replacement, Software, entity_tag, path,
};
use serde::Serialize;
use serde_json::{Map, Value};

use self::orders::Orders;
use crate::cache::{Bounds, Cache};
use crate::config::{Config, StoreConfig};
use crate::host::{CacheEvent, CacheName, Call, CallResponse, Event, Host};

/// How deep a store's answer may nest: a record holds the statement's claims.
const ANSWER_DEPTH: usize = 32;

/// The store, reached through an Envoy cluster.
#[derive(Debug, Clone)]
pub struct Store<H> {
    host: H,
    config: StoreConfig,
    /// How long a client at hand is taken as it is.
    max_age: Duration,
    clients: Rc<RefCell<Cache<String, KeptClient>>>,
    new_clients: Rc<RefCell<Orders>>,
    new_tokens: Rc<RefCell<Orders>>,
}

#[derive(Debug, Clone)]
struct KeptClient {
    client: Rc<TokenClient>,
    read_at: Timestamp,
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
    /// The token that manages the registration, told once, at creation (RFC 7592 section 3).
    pub registration_access_token: Option<String>,
}

json_struct!(Client { client_id, client_id_issued_at, version, record, registration_access_token, .. });

/// What the gate reads of a [`WrittenClient`](dcr_store_protocol::WrittenClient).
#[derive(Debug)]
struct Written {
    client_id: String,
    client_id_issued_at: Timestamp,
    version: u64,
    software: WrittenSoftware,
    registration_access_token: Option<String>,
}

json_struct!(Written { client_id, client_id_issued_at, version, software, registration_access_token, .. });

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

/// What the gate reads of an [`IssuedToken`](dcr_store_protocol::IssuedToken) of the protocol.
#[derive(Debug)]
struct Issued {
    client_id: String,
    access_token: String,
    token_type: String,
    expires_in: u64,
    scope: String,
}

json_struct!(Issued { client_id, access_token, token_type, expires_in, scope, .. });

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

/// What the store tells of one operation.
#[derive(Debug)]
struct Told {
    status: Option<u16>,
    /// The JSON, or what is wrong with it.
    body: Result<Value, &'static str>,
}

impl From<CallResponse> for Told {
    fn from(response: CallResponse) -> Self {
        let body = if response.media_type().as_deref() == Some("application/json") {
            json::parse(&response.body, ANSWER_DEPTH).map_err(|_| "answered with broken JSON")
        } else {
            Err("answered with another content-type than application/json")
        };
        Self { status: response.status, body }
    }
}

impl TokenClient {
    fn of(client: Client) -> Self {
        let Record { metadata, issuer, binding, key_set_uri, revoked_key_set_uri, .. } = client.record;
        let Client { client_id, version, .. } = client;
        Self { client_id, version, metadata, issuer, binding, key_set_uri, revoked_key_set_uri }
    }

    /// About what it takes: each member beside its text has its name or its place in a list.
    fn bytes(&self) -> usize {
        let text = serde_json::to_string(&(&self.metadata, &self.binding)).map_or(0, |text| text.len());
        1024_usize.saturating_add(text.saturating_mul(2)).saturating_add(self.issuer.len() + self.key_set_uri.len())
    }
}

impl Record {
    /// They are kept in the statement, and nowhere else.
    fn claims_of_statement(&mut self, _record: &Value) -> Result<(), ReadError> {
        let limits = Limits { token_bytes: usize::MAX, json_depth: ANSWER_DEPTH };
        let statement = Jws::parse(self.software_statement.as_bytes(), &limits).ok();
        let claims = statement.and_then(|statement| json::parse_object(statement.payload(), ANSWER_DEPTH).ok());
        self.statement_claims = Rc::new(claims.ok_or_else(|| ReadError::new("a software_statement that is none"))?);
        Ok(())
    }

    /// What is kept of an approved request.
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

    fn software(&self) -> Software<&str> {
        Software { issuer: &self.issuer, id: &self.binding.software_id }
    }
}

impl SingleUse {
    fn all(every: &[Self]) -> Vec<Jti<&str>> {
        every.iter().map(Self::jti).collect()
    }

    /// As the store is sent it.
    fn jti(&self) -> Jti<&str> {
        Jti { issuer: &self.issuer, jti: &self.jti, expires_at: signed(self.expires_at) }
    }
}

/// What the gate reads of a [`Software`].
#[derive(Debug)]
struct WrittenSoftware {
    issuer: String,
    id: String,
}

json_struct!(WrittenSoftware { issuer, id, .. });

impl<H: Host> Store<H> {
    /// A client of the configured store.
    pub fn new(host: H, config: &Config) -> Self {
        let bounds = Bounds { entries: config.cache.clients, bytes: config.cache.client_bytes };
        let clients = Rc::new(RefCell::new(Cache::new(bounds)));
        let (config, max_age) = (config.store.clone(), config.cache.client_max_age);
        let (new_clients, new_tokens) = (Orders::of(Kind::Clients), Orders::of(Kind::Tokens));
        Self { host, config, max_age, clients, new_clients, new_tokens }
    }

    /// Consumes the ids, checks duplicates, creates, with a token to manage the registration by where `with_token`: one transaction.
    /// `request_id` names the request in the store's log.
    ///
    /// # Errors
    /// `Replayed`, `DuplicateSoftware`, `Unavailable`.
    pub async fn create(
        &self,
        request_id: Option<&str>,
        record: Record,
        single_uses: Vec<SingleUse>,
        single: bool,
        with_token: bool,
    ) -> Result<Client, StoreError> {
        let order = NewClient {
            request_id,
            software: record.software(),
            single_registration: single,
            registration_access_token: with_token,
            consume_jti: SingleUse::all(&single_uses),
            record: &record,
        };
        let told = self.order(&self.new_clients, json::text(&order)).arrived().await?;
        let written: Written = self.expect(201, &told, &single_uses)?;
        if written.registration_access_token.is_some() == with_token {
            self.written(written, record)
        } else {
            Err(self.failed("made a client without its registration access token, or with one nobody asked for"))
        }
    }

    /// The client of that id.
    ///
    /// # Errors
    /// `UnknownClient`, `Unavailable`.
    pub async fn client(&self, client_id: &str) -> Result<Client, StoreError> {
        let told = self.call("GET", client_path(client_id)?, None, None).await?;
        let client: Client = self.expect(200, &told, &[])?;
        if client.client_id == client_id { Ok(client) } else { Err(self.failed("answered with another client")) }
    }

    /// The client of that id, for the token endpoint: as it was a moment ago, where it was read then. By such a record nobody may be
    /// refused unless [`Self::has_changed`] denies, and [`Self::issue_token`] issues nothing if it is an old one.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn client_at_hand(&self, client_id: &str) -> Result<FoundClient, StoreError> {
        let known = self.clients.borrow_mut().get(client_id).cloned();
        let age = |kept: &KeptClient| Duration::from_secs(self.host.now().abs_diff(kept.read_at));
        match known.filter(|kept| age(kept) < self.max_age) {
            Some(KeptClient { client, .. }) => {
                self.host.record(Event::Cache(CacheName::Clients, CacheEvent::Hit));
                Ok(FoundClient { client, is_from_cache: true })
            }
            None => {
                self.host.record(Event::Cache(CacheName::Clients, CacheEvent::Miss));
                let client = self.client_anew(client_id).await?;
                Ok(FoundClient { client, is_from_cache: false })
            }
        }
    }

    /// Whether the store has another record of this client by now, none, or no answer. What it has is at hand then.
    pub async fn has_changed(&self, client: &TokenClient) -> bool {
        !self.client_anew(&client.client_id).await.is_ok_and(|current| current.version == client.version)
    }

    async fn client_anew(&self, client_id: &str) -> Result<Rc<TokenClient>, StoreError> {
        self.forget(client_id);
        let client = Rc::new(TokenClient::of(self.client(client_id).await?));
        if !self.max_age.is_zero() {
            let (bytes, kept) = (client.bytes(), KeptClient { client: client.clone(), read_at: self.host.now() });
            let evicted = self.clients.borrow_mut().insert(client_id.to_owned(), kept, bytes);
            (0..evicted).for_each(|_| self.host.record(Event::Cache(CacheName::Clients, CacheEvent::Evicted)));
        }
        Ok(client)
    }

    /// Consumes the ids and replaces the record of `client`, unless it was changed meanwhile: one transaction.
    ///
    /// # Errors
    /// `Replayed`, `UnknownClient`, `VersionMismatch`, `Unavailable`.
    pub async fn replace(
        &self,
        client: &Client,
        record: Record,
        single_uses: Vec<SingleUse>,
    ) -> Result<Client, StoreError> {
        let body =
            Replacement { software: record.software(), consume_jti: SingleUse::all(&single_uses), record: &record };
        let headers = vec![("if-match", entity_tag(signed(client.version))), minimal()];
        let told = self.call("PUT", client_path(&client.client_id)?, headers, json_body(&body)).await;
        self.forget(&client.client_id);
        let written: Written = self.expect(200, &told?, &single_uses)?;
        if written.client_id == client.client_id {
            self.written(written, record)
        } else {
            Err(self.failed("answered with another client"))
        }
    }

    /// Deletes the client; its tokens die with it.
    ///
    /// # Errors
    /// `UnknownClient`, `Unavailable`.
    pub async fn delete(&self, client_id: &str) -> Result<(), StoreError> {
        let told = self.call("DELETE", client_path(client_id)?, None, None).await;
        self.forget(client_id);
        let told = told?;
        if told.status == Some(204) { Ok(()) } else { Err(self.error(&told, &[])) }
    }

    /// Consumes the assertion's id, where there is one, and issues a token bound to the certificate, unless the client was changed since
    /// it was read: one transaction. `request_id` names the request in the store's log.
    ///
    /// # Errors
    /// `Replayed`, `UnknownClient`, `VersionMismatch`, `Unavailable`. After each the client is read anew.
    pub async fn issue_token(
        &self,
        request_id: Option<&str>,
        client: &TokenClient,
        scope: &str,
        lifetime: u64,
        thumbprint: &str,
        jti: Option<SingleUse>,
    ) -> Result<IssuedToken, StoreError> {
        let jti: Vec<SingleUse> = jti.into_iter().collect();
        let order = NewToken {
            request_id,
            client_id: client.client_id.as_str(),
            version: Some(signed(client.version)),
            scope,
            expires_in: signed(lifetime),
            cnf: Confirmation { certificate_thumbprint: thumbprint },
            consume_jti: SingleUse::all(&jti),
        };
        let issued = self
            .order(&self.new_tokens, json::text(&order))
            .arrived()
            .await
            .and_then(|told| self.expect(201, &told, &jti));
        if issued.is_err() {
            self.forget(&client.client_id);
        }
        let Issued { client_id, access_token, token_type, expires_in, scope } = issued?;
        match (client_id == client.client_id, token_type.as_str()) {
            (true, "Bearer") => Ok(IssuedToken { access_token, token_type, expires_in, scope }),
            (true, _) => Err(self.failed("issued another type of token")),
            (false, _) => Err(self.failed("answered with another client's token")),
        }
    }

    /// What the store knows of a token.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn introspect(&self, token: &str) -> Result<Introspection, StoreError> {
        let told = self.call("POST", path::INTROSPECT.to_owned(), None, form_body(token)).await?;
        self.expect(200, &told, &[])
    }

    /// Makes a token unusable.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn revoke(&self, token: &str) -> Result<(), StoreError> {
        let told = self.call("POST", path::REVOKE.to_owned(), None, form_body(token)).await?;
        if told.status == Some(200) { Ok(()) } else { Err(self.error(&told, &[])) }
    }

    /// The client that was written, if it is the one that the record is of: where several are told of in one answer, each has to be its own.
    fn written(&self, written: Written, record: Record) -> Result<Client, StoreError> {
        let Written { client_id, client_id_issued_at, version, software, registration_access_token } = written;
        let same = record.software();
        if (software.issuer.as_str(), software.id.as_str()) == (same.issuer, same.id) {
            Ok(Client { client_id, client_id_issued_at, version, record, registration_access_token })
        } else {
            Err(self.failed("answered with another software's client"))
        }
    }

    fn forget(&self, client_id: &str) {
        self.clients.borrow_mut().remove(client_id);
    }

    async fn call(
        &self,
        method: &'static str,
        path: String,
        further: impl IntoIterator<Item = (&'static str, String)>,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Told, StoreError> {
        let mut headers = vec![("accept", "application/json".to_owned())];
        headers.extend(further);
        let body = body.map(|(media_type, body)| {
            headers.push(("content-type", media_type.to_owned()));
            body
        });
        let call = Call {
            cluster: self.config.cluster.clone(),
            method,
            authority: self.config.authority.clone(),
            path,
            headers,
            body: body.unwrap_or_default(),
            timeout: self.config.timeout,
        };
        let response = self.host.call(call).await;
        response.map(Told::from).map_err(|_| self.failed("could not be called: check store.cluster"))
    }

    /// `single_uses` are the ids that were to be consumed.
    fn expect<T: FromJson>(&self, status: u16, told: &Told, single_uses: &[SingleUse]) -> Result<T, StoreError> {
        if told.status != Some(status) {
            return Err(self.error(told, single_uses));
        }
        self.read(told)
    }

    fn read<T: FromJson>(&self, told: &Told) -> Result<T, StoreError> {
        let body = told.body.as_ref().map_err(|problem| self.failed(problem))?;
        json::read(body).map_err(|_| self.failed("answered with JSON of another shape"))
    }

    fn error(&self, told: &Told, single_uses: &[SingleUse]) -> StoreError {
        let refused = matches!(told.status, Some(404 | 409 | 412));
        if !refused {
            return self.failed(match told.status {
                Some(503 | 504) => "refused the connection or did not answer in time",
                _ => "answered with an unexpected status",
            });
        }
        let body = match self.read::<ErrorBody>(told) {
            Ok(body) => body,
            Err(error) => return error,
        };
        match told.status.and_then(|status| ErrorCode::of_answer(status, &body.error)) {
            Some(ErrorCode::UnknownClient) => StoreError::UnknownClient,
            Some(ErrorCode::Replayed) => match single_uses.get(body.replayed) {
                Some(id) => StoreError::Replayed(id.rule),
                None => self.failed("says that an id was used before which it was not sent"),
            },
            Some(ErrorCode::DuplicateSoftware) => StoreError::DuplicateSoftware,
            Some(ErrorCode::VersionMismatch) => StoreError::VersionMismatch,
            _ => self.failed("answered with an unexpected error"),
        }
    }

    fn failed(&self, problem: &'static str) -> StoreError {
        self.host.record(Event::StoreFailed(problem));
        StoreError::Unavailable
    }
}

/// What was sent need not come back (RFC 7240 section 4.2); a store that sends it all the same is not listened to.
fn minimal() -> (&'static str, String) {
    ("prefer", RETURN_MINIMAL.to_owned())
}

/// What the gate reads of an [`ErrorBody`](dcr_store_protocol::ErrorBody) of the protocol.
#[derive(Debug)]
struct ErrorBody {
    error: String,
    /// Which of the ids was used before.
    replayed: usize,
}

json_struct!(ErrorBody { error, replayed = 0, .. });

/// The path of a client. No client has an id that the store cannot have made, and such an id never becomes part of a URL.
fn client_path(client_id: &str) -> Result<String, StoreError> {
    path::client(client_id).ok_or(StoreError::UnknownClient)
}

/// A number as the protocol has it. The store refuses numbers that are too large anyway.
fn signed(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn json_body(value: &impl Serialize) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", json::text(value)))
}

fn form_body(token: &str) -> Option<(&'static str, Vec<u8>)> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
    Some(("application/x-www-form-urlencoded", form.into_bytes()))
}

#[cfg(test)]
mod tests {
    use dcr_store_protocol::{self as protocol, TokenType, TokenUse, WrittenClient};
    use serde_json::json;

    use super::*;

    /// Types of our own read the answers, because derived readers are many times their code. They must find the members where the
    /// protocol has them.
    #[test]
    fn answers_of_the_protocol_are_read() {
        let software = || Software { issuer: "OpenBanking Ltd".to_owned(), id: "software".to_owned() };
        let written: Written = json::read(&json!(WrittenClient {
            client_id: "client".to_owned(),
            client_id_issued_at: 1,
            version: 2,
            software: software(),
            registration_access_token: Some("token".to_owned()),
        }))
        .unwrap();
        assert_eq!((written.client_id.as_str(), written.client_id_issued_at, written.version), ("client", 1, 2));
        assert_eq!((written.software.issuer, written.software.id), (software().issuer, software().id));
        assert_eq!(written.registration_access_token.as_deref(), Some("token"));

        let issued: Issued = json::read(&json!(protocol::IssuedToken {
            client_id: "client".to_owned(),
            access_token: "token".to_owned(),
            token_type: TokenType::Bearer,
            expires_in: 600,
            scope: "accounts".to_owned(),
        }))
        .unwrap();
        assert_eq!((issued.client_id.as_str(), issued.access_token.as_str()), ("client", "token"));
        assert_eq!((issued.token_type.as_str(), issued.expires_in, issued.scope.as_str()), ("Bearer", 600, "accounts"));

        let known: Introspection = json::read(&json!(protocol::Introspection {
            active: true,
            client_id: Some("client".to_owned()),
            token_use: Some(TokenUse::Registration),
            scope: Some("accounts".to_owned()),
            cnf: Some(Confirmation { certificate_thumbprint: "thumbprint".to_owned() }),
            ..protocol::Introspection::INACTIVE
        }))
        .unwrap();
        assert!(known.active);
        assert_eq!((known.client_id.as_deref(), known.token_use.as_deref()), (Some("client"), Some("registration")));
        assert_eq!((known.scope.as_deref(), known.cnf.unwrap().x5t_s256.as_str()), (Some("accounts"), "thumbprint"));

        for code in ErrorCode::ALL {
            let sent = protocol::ErrorBody { error: *code, error_description: "why", replayed: Some(3) };
            let read: ErrorBody = json::read(&json!(sent)).unwrap();
            assert_eq!((ErrorCode::of_answer(code.status(), &read.error), read.replayed), (Some(*code), 3));
        }
    }
}
