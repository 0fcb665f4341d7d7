//! The client of the store's API, and a cache of clients for the token endpoint. An answer that the API does not allow counts as no answer.

mod batcher;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_json::{self as json, FromJson, json_struct};
use dcr_policy::Timestamp;
use dcr_policy::access_token::{Confirmation, Introspection, is_b64token};
use dcr_store_protocol::{ErrorCode, Jti, Kind, NewClient, NewToken, RETURN_MINIMAL, Replacement, entity_tag, path};
use serde::{Serialize, Serializer};
use serde_json::Value;

use self::batcher::Batcher;
use crate::cache::{Bounds, Cache};
use crate::client_store::{
    Client, ClientStore, FoundClient, IssuedToken, Origin, Record, SingleUse, StoreError, TokenClient,
};
use crate::config::{Config, StoreConfig};
use crate::host::{CacheEvent, CacheName, Call, CallResponse, Event, Host};

/// The deepest nesting of the JSON in an answer.
const ANSWER_DEPTH: usize = 32;

/// The store. An Envoy cluster reaches it.
#[derive(Debug, Clone)]
pub struct StoreClient<H> {
    host: H,
    config: StoreConfig,
    /// How long a cached client is used without asking the store again.
    max_age: Duration,
    clients: Rc<RefCell<Cache<String, KeptClient>>>,
    new_clients: Rc<RefCell<Batcher>>,
    new_tokens: Rc<RefCell<Batcher>>,
}

#[derive(Debug, Clone)]
struct KeptClient {
    client: Rc<TokenClient>,
    read_at: Timestamp,
}

/// The members of a [`WrittenClient`](dcr_store_protocol::WrittenClient) that the gate reads.
#[derive(Debug)]
struct Written {
    client_id: String,
    client_id_issued_at: Timestamp,
    version: u64,
    software: WrittenSoftware,
    registration_access_token: Option<String>,
}

json_struct!(Written { client_id, client_id_issued_at, version, software, registration_access_token, .. });

/// The members of an [`IssuedToken`](dcr_store_protocol::IssuedToken) that the gate reads.
#[derive(Debug)]
struct Issued {
    client_id: String,
    access_token: String,
    token_type: String,
    expires_in: u64,
    scope: String,
    cnf: Option<Confirmation>,
}

json_struct!(Issued { client_id, access_token, token_type, expires_in, scope, cnf, .. });

/// The store's reply to one operation.
#[derive(Debug)]
struct Reply {
    status: Option<u16>,
    /// The JSON, or the fault in it.
    body: Result<Value, &'static str>,
}

impl From<CallResponse> for Reply {
    fn from(response: CallResponse) -> Self {
        let body = if response.media_type().as_deref() == Some("application/json") {
            json::parse(&response.body, ANSWER_DEPTH).map_err(|_| "answered with broken JSON")
        } else {
            Err("answered with another content-type than application/json")
        };
        Self { status: response.status, body }
    }
}

/// Writes the id in the form of the protocol. The protocol has no rules, so the rule is left out.
impl Serialize for SingleUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { issuer, jti, expires_at, rule: _ } = self;
        Jti { issuer: issuer.as_str(), jti: jti.as_str(), expires_at: signed(*expires_at) }.serialize(serializer)
    }
}

/// The members of a [`Software`](dcr_store_protocol::Software) that the gate reads.
#[derive(Debug)]
struct WrittenSoftware {
    issuer: String,
    id: String,
}

json_struct!(WrittenSoftware { issuer, id, .. });

impl<H: Host> StoreClient<H> {
    /// A client of the configured store, with an empty cache.
    pub fn new(host: H, config: &Config) -> Self {
        let bounds = Bounds { entries: config.cache.clients, bytes: config.cache.client_bytes };
        let clients = Rc::new(RefCell::new(Cache::new(bounds)));
        let (config, max_age) = (config.store.clone(), config.cache.client_max_age);
        let (new_clients, new_tokens) = (Batcher::of(Kind::Clients), Batcher::of(Kind::Tokens));
        Self { host, config, max_age, clients, new_clients, new_tokens }
    }
}

impl<H: Host> ClientStore for StoreClient<H> {
    async fn create(
        &self,
        Origin { request_id, traceparent }: Origin<'_>,
        record: Record,
        single_uses: Vec<SingleUse>,
        single: bool,
        with_token: bool,
    ) -> Result<Client, StoreError> {
        let element = NewClient {
            request_id,
            traceparent,
            software: record.software(),
            single_registration: single,
            registration_access_token: with_token,
            consume_jti: single_uses.as_slice(),
            record: &record,
        };
        let reply = self.batched(&self.new_clients, json::text(&element)).get().await?;
        let written: Written = self.expect(201, &reply, &single_uses)?;
        if written.registration_access_token.is_some() == with_token {
            self.written(written, record)
        } else {
            Err(self.failed("made a client without its registration access token, or with one that was not asked for"))
        }
    }

    async fn client(&self, client_id: &str) -> Result<Client, StoreError> {
        let reply = self.call("GET", client_path(client_id)?, None, None).await?;
        let client: Client = self.expect(200, &reply, &[])?;
        if client.client_id == client_id { Ok(client) } else { Err(self.failed("answered with another client")) }
    }

    async fn client_at_hand(&self, client_id: &str) -> Result<FoundClient, StoreError> {
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

    async fn has_changed(&self, client: &TokenClient) -> bool {
        !self.client_anew(&client.client_id).await.is_ok_and(|current| current.version == client.version)
    }

    async fn replace(
        &self,
        client: &Client,
        record: Record,
        single_uses: Vec<SingleUse>,
    ) -> Result<Client, StoreError> {
        let body = Replacement { software: record.software(), consume_jti: single_uses.as_slice(), record: &record };
        let headers = vec![("if-match", entity_tag(signed(client.version))), minimal()];
        let reply = self.call("PUT", client_path(&client.client_id)?, headers, json_body(&body)).await;
        self.forget(&client.client_id);
        let written: Written = self.expect(200, &reply?, &single_uses)?;
        if written.client_id == client.client_id {
            self.written(written, record)
        } else {
            Err(self.failed("answered with another client"))
        }
    }

    async fn delete(&self, client_id: &str) -> Result<(), StoreError> {
        let reply = self.call("DELETE", client_path(client_id)?, None, None).await;
        self.forget(client_id);
        let reply = reply?;
        if reply.status == Some(204) { Ok(()) } else { Err(self.error(&reply, &[])) }
    }

    async fn issue_token(
        &self,
        Origin { request_id, traceparent }: Origin<'_>,
        client: &TokenClient,
        scope: &str,
        lifetime: u64,
        thumbprint: &str,
        jti: Option<SingleUse>,
    ) -> Result<IssuedToken, StoreError> {
        let jti: Vec<SingleUse> = jti.into_iter().collect();
        let element = NewToken {
            request_id,
            traceparent,
            client_id: client.client_id.as_str(),
            version: Some(signed(client.version)),
            scope,
            expires_in: signed(lifetime),
            cnf: dcr_store_protocol::Confirmation { certificate_thumbprint: thumbprint },
            consume_jti: jti.as_slice(),
        };
        let issued = self
            .batched(&self.new_tokens, json::text(&element))
            .get()
            .await
            .and_then(|reply| self.expect(201, &reply, &jti));
        if issued.is_err() {
            self.forget(&client.client_id);
        }
        let issued: Issued = issued?;
        // Two requests of one client can differ in scope and certificate, and an answer for several could mix them up.
        let certificate = issued.cnf.as_ref().map(|cnf| cnf.x5t_s256.as_str());
        let made = (issued.client_id.as_str(), issued.scope.as_str(), issued.expires_in, certificate);
        if made != (client.client_id.as_str(), scope, lifetime, Some(thumbprint)) {
            return Err(self.failed("issued a token of another client, scope, lifetime or certificate"));
        }
        let Issued { access_token, token_type, expires_in, scope, .. } = issued;
        if token_type != "Bearer" || !is_b64token(&access_token) {
            return Err(self.failed("issued a token that cannot be presented as a bearer token"));
        }
        Ok(IssuedToken { access_token, token_type, expires_in, scope })
    }

    async fn introspect(&self, token: &str) -> Result<Introspection, StoreError> {
        let reply = self.call("POST", path::INTROSPECT.to_owned(), None, form_body(token)).await?;
        self.expect(200, &reply, &[])
    }

    async fn revoke(&self, token: &str) -> Result<(), StoreError> {
        let reply = self.call("POST", path::REVOKE.to_owned(), None, form_body(token)).await?;
        if reply.status == Some(200) { Ok(()) } else { Err(self.error(&reply, &[])) }
    }
}

impl<H: Host> StoreClient<H> {
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

    /// The written client. An answer for several registrations could mix them up, so the software must be the one of `record`.
    fn written(&self, written: Written, record: Record) -> Result<Client, StoreError> {
        let Written { client_id, client_id_issued_at, version, software, registration_access_token } = written;
        let can_be_used = registration_access_token.as_deref().is_none_or(is_b64token);
        if path::client(&client_id).is_none() || !can_be_used {
            return Err(self.failed("made a client whose id or registration access token cannot be used"));
        }
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
    ) -> Result<Reply, StoreError> {
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
        let response = self.host.call(call).await.map_err(|error| self.failed(error.problem()))?;
        match response.no_answer() {
            Some(problem) => Err(self.failed(problem)),
            None => Ok(Reply::from(response)),
        }
    }

    /// Reads a reply that must have this status. `single_uses` are the ids that the operation was to consume.
    fn expect<T: FromJson>(&self, status: u16, reply: &Reply, single_uses: &[SingleUse]) -> Result<T, StoreError> {
        if reply.status != Some(status) {
            return Err(self.error(reply, single_uses));
        }
        self.read(reply)
    }

    fn read<T: FromJson>(&self, reply: &Reply) -> Result<T, StoreError> {
        let body = reply.body.as_ref().map_err(|problem| self.failed(problem))?;
        json::read(body).map_err(|_| self.failed("answered with JSON of another shape"))
    }

    fn error(&self, reply: &Reply, single_uses: &[SingleUse]) -> StoreError {
        let refused = matches!(reply.status, Some(400 | 404 | 409 | 412));
        if !refused {
            return self.failed("answered with an unexpected status");
        }
        let body = match self.read::<ErrorBody>(reply) {
            Ok(body) => body,
            Err(error) => return error,
        };
        let is = |code: ErrorCode| reply.status == Some(code.status()) && body.error == code.word();
        if is(ErrorCode::UnknownClient) {
            StoreError::UnknownClient
        } else if is(ErrorCode::Replayed) {
            match single_uses.get(body.replayed) {
                Some(id) => StoreError::Replayed(id.rule),
                None => self.failed("says that an id was used before which it was not sent"),
            }
        } else if is(ErrorCode::DuplicateSoftware) {
            StoreError::DuplicateSoftware
        } else if is(ErrorCode::VersionMismatch) {
            StoreError::VersionMismatch
        } else if is(ErrorCode::ClocksApart) {
            self.failed("has another time than this gateway: compare the clocks of both machines");
            StoreError::ClocksApart
        } else {
            self.failed("answered with an unexpected error")
        }
    }

    fn failed(&self, problem: &'static str) -> StoreError {
        self.host.record(Event::StoreFailed(problem));
        StoreError::Unavailable
    }
}

/// Asks the store not to send the record back (RFC 7240 section 4.2). If a store sends it all the same, it is ignored.
fn minimal() -> (&'static str, String) {
    ("prefer", RETURN_MINIMAL.to_owned())
}

/// The members of an [`ErrorBody`](dcr_store_protocol::ErrorBody) that the gate reads.
#[derive(Debug)]
struct ErrorBody {
    error: String,
    /// The index of the id that was used before.
    replayed: usize,
}

json_struct!(ErrorBody { error, replayed = 0, .. });

/// The path of a client. An id that the store cannot have made is unknown without a call, so it never becomes part of a URL.
fn client_path(client_id: &str) -> Result<String, StoreError> {
    path::client(client_id).ok_or(StoreError::UnknownClient)
}

/// A number in the type of the protocol. The store refuses numbers that are too large.
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
    use dcr_store_protocol::{self as protocol, Software, TokenType, TokenUse, WrittenClient};
    use serde_json::json;

    use super::*;

    /// The gate reads answers with types of its own, because derived readers need many times their code. This test checks that these types
    /// find the members where the protocol puts them.
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
            cnf: protocol::Confirmation { certificate_thumbprint: "thumbprint".to_owned() },
        }))
        .unwrap();
        assert_eq!(issued.cnf.unwrap().x5t_s256, "thumbprint");
        assert_eq!((issued.client_id.as_str(), issued.access_token.as_str()), ("client", "token"));
        assert_eq!((issued.token_type.as_str(), issued.expires_in, issued.scope.as_str()), ("Bearer", 600, "accounts"));

        let known: Introspection = json::read(&json!(protocol::Introspection {
            active: true,
            client_id: Some("client".to_owned()),
            token_use: Some(TokenUse::Registration),
            scope: Some("accounts".to_owned()),
            cnf: Some(protocol::Confirmation { certificate_thumbprint: "thumbprint".to_owned() }),
            ..protocol::Introspection::INACTIVE
        }))
        .unwrap();
        assert!(known.active);
        assert_eq!((known.client_id.as_deref(), known.token_use.as_deref()), (Some("client"), Some("registration")));
        assert_eq!((known.scope.as_deref(), known.cnf.unwrap().x5t_s256.as_str()), (Some("accounts"), "thumbprint"));

        for code in ErrorCode::ALL {
            let sent = protocol::ErrorBody { error: *code, error_description: "why", replayed: Some(3) };
            let read: ErrorBody = json::read(&json!(sent)).unwrap();
            assert_eq!((read.error.as_str(), read.replayed), (code.word(), 3));
        }
    }
}
