//! Runs the gateway's own policy: its decision about this request, over this certificate, at this time.
//!
//! The journeys are those of the filter. They run over a host that needs no network: key sets come from files, and the store accepts
//! everything.

mod client;
mod listing;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_gate::config::Config;
use dcr_gate::host::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};
use dcr_gate::journey::{Body, Endpoint, Gate, Head, Request};
use dcr_mint::Error;
use dcr_mint::inspect::Inspected;
use dcr_parties::client::{JWT_BEARER, media_type};
use dcr_policy::jwt::signature_rule;
use dcr_policy::{Document, ErrorCode, Evaluation, Refusal, Timestamp};
use dcr_store_protocol::{
    Clients, ErrorBody, ErrorCode as StoreErrorCode, IssuedToken, NewClient, NewToken, Reply, TokenType, Tokens,
    WrittenClient, path,
};
use dcr_x509::Certificate;
use futures_util::FutureExt;
use serde_json::{Value, json};

use self::client::RegisteredClient;
pub use self::listing::{JudgedRule, Outcome};
use self::listing::{Kind, list};
use crate::signature;

/// The settings of a judgement.
#[derive(Debug)]
pub struct Case {
    /// The gateway's configuration.
    pub config: Config,
    /// The transport certificate. `None` if the request comes without one.
    pub certificate: Option<Certificate>,
    /// The time, in Unix seconds.
    pub at: Timestamp,
    /// Key sets by their URLs. A key set without a URL is used for all other URLs.
    pub key_sets: Vec<(Option<String>, Value)>,
}

/// The decision of the gateway, and its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The answer that the gateway would give.
    pub verdict: Verdict,
    /// Every rule of the catalogue that concerns such a request under this configuration, in the catalogue's order. A rule about all signed
    /// documents is listed once for each document.
    pub rules: Vec<JudgedRule>,
    /// Members of an accepted request that have no meaning, each with the member that was probably meant: `scopes:scope`.
    pub not_understood: Vec<String>,
    /// Why a signature does not verify, if the request is refused for it. The gateway tells no caller this much.
    pub signature: Option<String>,
}

/// The answer that the gateway would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client would be registered, or the token would be issued.
    Accepted,
    /// The request would be refused.
    Refused {
        /// The broken rule, and where it was broken.
        refusal: Refusal,
        /// The answer's `error`. The profile may have another than the rule (`answers.errors`).
        error: ErrorCode,
    },
}

impl Case {
    /// Judges a registration request: a compact JWS, or the JSON object of an ecosystem that does not sign requests.
    ///
    /// # Errors
    /// [`Error::Content`] if a key set is missing or unusable, so that the gateway would answer 503. [`Error::Key`] if the policy waits for
    /// something that never comes, which is a fault of this program.
    pub fn judge_registration(self, request: &str) -> Result<Judgement, Error> {
        let token = |document| match document {
            Document::SoftwareStatement => statement_of(request),
            Document::RegistrationRequest | Document::ClientAssertion => Some(request.to_owned()),
        };
        self.judge(Kind::Registration, &Endpoint::Register, media_type(request), request, None, token)
    }

    /// Judges the client assertion of a token request for `client_credentials`. `registration` is the gateway's answer to the registration
    /// of the client; it needs only `client_id`, `token_endpoint_auth_method` and `software_statement`.
    ///
    /// # Errors
    /// As [`Case::judge_registration`], and [`Error::Content`] if `registration` lacks one of these members.
    pub fn judge_assertion(self, registration: &Value, assertion: &str) -> Result<Judgement, Error> {
        let client = RegisteredClient::read(registration, &self.config)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let media_type = "application/x-www-form-urlencoded";
        let token = |_| Some(assertion.to_owned());
        self.judge(Kind::ClientAssertion, &Endpoint::Token, media_type, &form, Some(client), token)
    }

    fn judge(
        self,
        kind: Kind,
        endpoint: &Endpoint,
        media_type: &str,
        body: &str,
        client: Option<RegisteredClient>,
        token: impl FnOnce(Document) -> Option<String>,
    ) -> Result<Judgement, Error> {
        let surroundings = Surroundings {
            now: self.at,
            key_sets: self.key_sets,
            client,
            refusal: RefCell::default(),
            not_understood: RefCell::default(),
            missing: RefCell::default(),
        };
        let host = Offline(Rc::new(surroundings));
        let (sender, received) = Body::channel();
        if body.len() > self.config.settings.limits.body_bytes {
            sender.too_large();
        } else {
            sender.complete(body.as_bytes().to_vec());
        }
        let paths = &self.config.settings.profile.paths;
        let path = match kind {
            Kind::Registration => &paths.registration,
            Kind::ClientAssertion => &paths.token,
        };
        let head = Head {
            method: "POST".into(),
            path: path.clone(),
            query: None,
            headers: vec![("content-type".into(), media_type.as_bytes().to_vec())],
            certificate: self.certificate.map(Rc::new).into(),
        };
        let gate = Gate::new(self.config, host.clone());
        let evaluation = Evaluation::new(gate.config.settings.modes.clone());
        let answer = gate.follow(endpoint, &Request { head, body: received }, &evaluation).now_or_never();
        answer.ok_or_else(|| Error::Key("the judgement did not come to an end".into()))?;

        host.0.all_at_hand()?;
        let verdict = host.0.refusal.borrow_mut().take().map_or(Verdict::Accepted, |refusal| {
            let error = refusal.error_in(&gate.config.settings.profile);
            Verdict::Refused { refusal, error }
        });
        let rules = list(kind, &gate.config.settings, &evaluation.checked(), verdict == Verdict::Accepted);
        let not_understood = host.0.not_understood.take();
        let signature = about_signature(&rules, &host.0.key_sets, token);
        Ok(Judgement { verdict, rules, not_understood, signature })
    }
}

/// Why the signature of a document does not verify, if a rule about signatures is broken. `token` is the document as it was sent.
fn about_signature(
    rules: &[JudgedRule],
    key_sets: &[(Option<String>, Value)],
    token: impl FnOnce(Document) -> Option<String>,
) -> Option<String> {
    let is_broken = |document: &Document| {
        let is_it = |judged: &&JudgedRule| judged.rule == signature_rule(*document);
        let outcome = rules.iter().find(is_it).map(|judged| judged.outcome);
        matches!(outcome, Some(Outcome::Failed | Outcome::Shadow))
    };
    let documents = [Document::SoftwareStatement, Document::RegistrationRequest, Document::ClientAssertion];
    let token = documents.into_iter().find(is_broken).and_then(token)?;
    let verification = signature::verify(&token, key_sets.iter().map(|(_, key_set)| key_set));
    (!verification.verifies).then_some(verification.said)
}

fn statement_of(request: &str) -> Option<String> {
    let claims = Inspected::parse(request).ok()?.claims;
    claims.get("software_statement").and_then(Value::as_str).map(str::to_owned)
}

#[derive(Debug, Clone)]
struct Offline(Rc<Surroundings>);

#[derive(Debug)]
struct Surroundings {
    now: Timestamp,
    key_sets: Vec<(Option<String>, Value)>,
    /// The client that authenticates, in the judgement of an assertion.
    client: Option<RegisteredClient>,
    refusal: RefCell<Option<Refusal>>,
    not_understood: RefCell<Vec<String>>,
    /// The URL of the first key set that was needed but not given.
    missing: RefCell<Option<String>>,
}

impl Surroundings {
    fn key_set(&self, url: &str) -> Option<&Value> {
        let of_url = self.key_sets.iter().find(|(known, _)| known.as_deref() == Some(url));
        let for_all = self.key_sets.iter().find(|(known, _)| known.is_none());
        of_url.or(for_all).map(|(_, key_set)| key_set)
    }

    fn call(&self, call: &Call) -> Result<(u16, Value), CallNotSent> {
        let client = self.client.as_ref();
        let client_id = call.path.strip_prefix(path::CLIENTS).and_then(|rest| rest.strip_prefix('/'));
        match (call.method, client_id, client) {
            ("GET", Some(client_id), Some(client)) if client_id == client.client_id => {
                Ok((200, json!(client.stored())))
            }
            ("GET", Some(_), Some(_)) => Ok((404, json!(unknown_client()))),
            ("GET", ..) => {
                let url = format!("https://{}{}", call.authority, call.path);
                let key_set = self.key_set(&url).cloned();
                if key_set.is_none() {
                    self.missing.borrow_mut().get_or_insert(url);
                }
                Ok((200, key_set.ok_or(CallNotSent::Refused)?))
            }
            (_, None, Some(_)) => Ok((200, json!(issued(&call.body)?))),
            (_, None, None) => Ok((200, json!(created(&call.body)?))),
            _ => Err(CallNotSent::Refused),
        }
    }

    /// Without a key set there is no verdict.
    fn all_at_hand(&self) -> Result<(), Error> {
        let wrong = |problem| Err(Error::Content { path: "--jwks".into(), problem });
        match (&*self.refusal.borrow(), &*self.missing.borrow()) {
            (_, Some(url)) => wrong(format!("holds no key set for {url}: add {url}=FILE")),
            (Some(refusal), None) if refusal.error() == ErrorCode::TemporarilyUnavailable => {
                wrong(format!("no key set of use, so the gateway could not judge either: {}", refusal.description()))
            }
            _ => Ok(()),
        }
    }
}

impl Host for Offline {
    fn now(&self) -> Timestamp {
        self.0.now
    }

    async fn call(&self, call: Call) -> Result<CallResponse, CallNotSent> {
        let answer = self.0.call(&call)?;
        let headers = vec![("content-type".to_string(), b"application/json".to_vec())];
        Ok(CallResponse { status: Some(answer.0), headers, body: answer.1.to_string().into_bytes() })
    }

    fn in_background(&self, work: Background) {
        // No call takes time here, so the work ends at once.
        work.now_or_never();
    }

    async fn sleep(&self, _time: Duration) {}

    fn random(&self) -> u64 {
        0
    }

    fn shared(&self, _key: &str) -> Option<Shared> {
        None
    }

    fn share(&self, _key: &str, _value: &[u8], _replaces: Option<u32>) -> bool {
        false
    }

    fn record(&self, event: Event) {
        match event {
            Event::Denied { refusal, .. } => *self.0.refusal.borrow_mut() = Some(refusal),
            Event::NotUnderstood(members) => {
                *self.0.not_understood.borrow_mut() = members.split(',').map(str::to_owned).collect();
            }
            _ => {}
        }
    }
}

/// The store's answer to a registration.
fn created(body: &[u8]) -> Result<Clients<Reply<WrittenClient>>, CallNotSent> {
    let asked: Clients<NewClient<Value>> = serde_json::from_slice(body).map_err(|_| CallNotSent::Refused)?;
    let created = |new: NewClient<Value>| {
        Reply::made(WrittenClient {
            client_id: "judged".into(),
            client_id_issued_at: 0,
            version: 1,
            software: new.software,
            registration_access_token: new.registration_access_token.then(|| "judged".into()),
        })
    };
    Ok(Clients { clients: asked.clients.into_iter().map(created).collect() })
}

/// The store's answer to a token request.
fn issued(body: &[u8]) -> Result<Tokens<Reply<IssuedToken>>, CallNotSent> {
    let asked: Tokens<NewToken> = serde_json::from_slice(body).map_err(|_| CallNotSent::Refused)?;
    let issued = |new: NewToken| {
        Reply::made(IssuedToken {
            client_id: new.client_id,
            access_token: "judged".into(),
            token_type: TokenType::Bearer,
            expires_in: new.expires_in,
            scope: new.scope,
            cnf: new.cnf,
        })
    };
    Ok(Tokens { tokens: asked.tokens.into_iter().map(issued).collect() })
}

/// The store's answer about an unknown client.
fn unknown_client() -> ErrorBody<&'static str> {
    ErrorBody { error: StoreErrorCode::UnknownClient, error_description: "", replayed: None }
}
