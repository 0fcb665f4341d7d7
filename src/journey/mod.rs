//! Journeys: one file an endpoint, each reading like its specification, top to bottom. Cheap first, verify before trust, spend last.

mod answer;
mod body;
mod delete;
mod discovery;
mod distinguished_name;
mod management;
mod register;
mod registration;
mod request;
mod retrieve;
mod route;
mod signature;
mod token;
mod update;

pub use answer::Answer;
pub use body::{Body, BodySender};
use dcr_policy::catalogue::RG_15;
use dcr_policy::certificate_binding::Binding;
use dcr_policy::evaluation::Mode;
use dcr_policy::{ErrorCode, Evaluation, Refusal, Rule};
use dcr_x509::Certificate;
pub use request::{Head, Request};
pub use route::{Endpoint, Route, Routes};
pub use signature::SignatureCache;

use crate::config::{Config, OtherGrants};
use crate::host::{Event, Host};
use crate::jwks::KeySets;
use crate::store_client::Store;

/// Everything a journey works with.
#[derive(Debug)]
pub struct Gate<H> {
    /// The operator's configuration.
    pub config: Config,
    /// Where the endpoints are.
    pub routes: Routes,
    /// The surroundings.
    pub host: H,
    /// The key sets at hand.
    pub key_sets: KeySets<H>,
    /// The software statements whose signature verified.
    pub signature_cache: SignatureCache,
    /// The client store.
    pub store: Store<H>,
}

impl<H: Host> Gate<H> {
    /// A gate with nothing cached.
    pub fn new(config: Config, host: H) -> Self {
        let key_sets = KeySets::new(host.clone(), &config);
        let signature_cache = SignatureCache::new(&config.cache);
        let store = Store::new(host.clone(), &config);
        let routes = Routes::new(&config);
        Self { config, routes, host, key_sets, signature_cache, store }
    }

    /// Serves one request to an endpoint of ours: answers it, or leaves it to the upstream.
    pub async fn serve(&self, endpoint: &Endpoint, request: &Request) -> Served {
        self.follow(endpoint, request, &Evaluation::new(self.config.settings.modes.clone())).await
    }

    /// The same, recording the checks in `evaluation`.
    pub async fn follow(&self, endpoint: &Endpoint, request: &Request, evaluation: &Evaluation) -> Served {
        let name = endpoint.name();
        let outcome = if self.config.settings.modes.general == Mode::Shadow {
            self.shadow(endpoint, request, evaluation).await.map(|()| Served::Upstream)
        } else if self.is_for_upstream(endpoint, request).await {
            Ok(Served::Upstream)
        } else {
            self.act(endpoint, request, evaluation).await.map(|answer| Served::Answer(answer, Outcome::Allowed))
        };
        let served = match outcome {
            Ok(served) => {
                self.record_shadow_refusals(name, evaluation.shadow_refusals());
                let event = match &served {
                    Served::Answer(..) => Event::Allowed { endpoint: name },
                    Served::Upstream => Event::Passed { endpoint: name },
                };
                self.host.record(event);
                served
            }
            Err(refusal) => self.refuse_after(evaluation.shadow_refusals(), name, refusal, None),
        };
        match served {
            Served::Answer(answer, outcome) => {
                Served::Answer(answer.with_interaction_id(&self.config.settings.profile, request), outcome)
            }
            Served::Upstream => Served::Upstream,
        }
    }

    /// Refuses a request, or lets it pass where its rule is in shadow mode; `allow` lists the methods of the resource.
    pub fn refuse(&self, endpoint: &'static str, refusal: Refusal, allow: Option<&'static str>) -> Served {
        self.refuse_after(Vec::new(), endpoint, refusal, allow)
    }

    fn refuse_after(
        &self,
        mut in_shadow: Vec<Refusal>,
        endpoint: &'static str,
        refusal: Refusal,
        allow: Option<&'static str>,
    ) -> Served {
        let modes = &self.config.settings.modes;
        if modes.general == Mode::Shadow && modes.of(refusal.rule) != Mode::Enforce {
            in_shadow.push(refusal);
            self.record_shadow_refusals(endpoint, in_shadow);
            self.host.record(Event::Passed { endpoint });
            return Served::Upstream;
        }
        self.record_shadow_refusals(endpoint, in_shadow);
        let answer = Answer::refused(&refusal, allow, &self.config.settings.profile);
        let outcome = Outcome::of(&refusal);
        self.host.record(Event::Denied { endpoint, refusal });
        Served::Answer(answer, outcome)
    }

    fn record_shadow_refusals(&self, endpoint: &'static str, refusals: Vec<Refusal>) {
        if !refusals.is_empty() {
            self.host.record(Event::ShadowDenied { endpoint, refusals });
        }
    }

    async fn act(&self, endpoint: &Endpoint, request: &Request, evaluation: &Evaluation) -> Result<Answer, Refusal> {
        if *endpoint != Endpoint::Discovery {
            evaluation.check(&[&RG_15], request.rg_15_interaction_id(&self.config.settings.profile))?;
        }
        match endpoint {
            Endpoint::Register => register::register(self, request, evaluation).await,
            Endpoint::Retrieve(client_id) => retrieve::retrieve(self, request, client_id, evaluation).await,
            Endpoint::Update(client_id) => update::update(self, request, client_id, evaluation).await,
            Endpoint::Delete(client_id) => delete::delete(self, request, client_id, evaluation).await,
            Endpoint::Token => token::token(self, request, evaluation).await,
            Endpoint::DistinguishedName => distinguished_name::distinguished_name(self, request),
            Endpoint::Discovery => Ok(discovery::discovery(&self.config)),
        }
    }

    /// Whether the transport certificate is one of the client's, as its directory's dialect knows them. The client of a directory that is no
    /// longer trusted has none.
    fn is_certificate_of(
        &self,
        issuer: &str,
        binding: &Binding,
        certificate: &Certificate,
        evaluation: &Evaluation,
    ) -> bool {
        self.config.settings.directory(issuer).is_some_and(|directory| {
            binding.check(certificate, &directory.dialect, self.host.now(), evaluation).is_ok()
        })
    }

    /// Judges what can be judged without writing anything, and without having made the clients: registration requests, and token requests
    /// of clients that the store happens to know. The upstream serves them all.
    async fn shadow(&self, endpoint: &Endpoint, request: &Request, evaluation: &Evaluation) -> Result<(), Refusal> {
        match endpoint {
            Endpoint::Register | Endpoint::Update(_) => register::shadow(self, request, evaluation).await,
            Endpoint::Token => token::shadow(self, request, evaluation).await,
            Endpoint::Retrieve(_) | Endpoint::Delete(_) | Endpoint::DistinguishedName | Endpoint::Discovery => Ok(()),
        }
    }

    /// Whether the request is the upstream's business after all: a token request for a grant that is served there.
    async fn is_for_upstream(&self, endpoint: &Endpoint, request: &Request) -> bool {
        *endpoint == Endpoint::Token
            && self.config.other_grants == OtherGrants::Pass
            && token::asks_for_another_grant(request).await
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// It is answered here; the outcome is for the operator, not for the caller.
    Answer(Answer, Outcome),
    /// The route's upstream serves it.
    Upstream,
}

/// What became of a request that is answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered as it asked.
    Allowed,
    /// It is refused, by this rule.
    Denied(&'static Rule),
    /// A service behind the gate failed it, by this rule.
    Error(&'static Rule),
}

impl Outcome {
    /// The names of all, in metrics and logs.
    pub const NAMES: [&'static str; 3] = ["allowed", "denied", "error"];

    /// The outcome of a refused request.
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.error() {
            ErrorCode::TemporarilyUnavailable => Self::Error(refusal.rule),
            _ => Self::Denied(refusal.rule),
        }
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        let [allowed, denied, error] = Self::NAMES;
        match self {
            Self::Allowed => allowed,
            Self::Denied(_) => denied,
            Self::Error(_) => error,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
