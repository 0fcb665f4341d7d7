//! Journeys: one file for each endpoint. Each file follows its specification from top to bottom. Cheap checks come first. Data is trusted
//! only after it is verified. The store is changed last.

mod answer;
mod body;
mod decision;
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

use std::pin::pin;
use std::time::Duration;

pub use answer::Answer;
pub use body::{Body, BodyError, BodySender};
use dcr_policy::catalogue::{RG_15, RG_16};
use dcr_policy::certificate_binding::Binding;
use dcr_policy::mode::Mode;
use dcr_policy::{Evaluation, Refusal};
use dcr_x509::Certificate;
pub use decision::{Changes, Decision, Outcome};
use futures_util::future::{Either, select};
pub use request::{Head, Request, TransportCertificate};
pub use route::{Endpoint, Route, Routes};
pub use signature::SignatureCache;

use self::registration::Occasion;

use crate::client_store::ClientStore;
use crate::config::Config;
use crate::host::{Event, Host};
use crate::jwks::KeySets;
use crate::store_client::StoreClient;

/// How long a gate in shadow mode may delay a request.
const SHADOW_WAIT: Duration = Duration::from_secs(1);

/// Everything a journey works with.
#[derive(Debug)]
pub struct Gate<H, S = StoreClient<H>> {
    /// The operator's configuration.
    pub config: Config,
    /// Where the endpoints are.
    pub routes: Routes,
    /// The host that runs the journeys.
    pub host: H,
    /// The key sets that were fetched.
    pub key_sets: KeySets<H>,
    /// The software statements whose signature verified.
    pub signature_cache: SignatureCache,
    /// The store of the client records.
    pub store: S,
}

impl<H: Host> Gate<H> {
    /// A gate with empty caches. Its store is the store service of the configuration.
    pub fn new(config: Config, host: H) -> Self {
        let store = StoreClient::new(host.clone(), &config);
        Self::over(store, config, host)
    }
}

impl<H: Host, S: ClientStore> Gate<H, S> {
    /// A gate with empty caches and this store.
    pub fn over(store: S, config: Config, host: H) -> Self {
        let key_sets = KeySets::new(host.clone(), &config);
        let signature_cache = SignatureCache::new(&config.cache);
        let routes = Routes::new(&config);
        Self { config, routes, host, key_sets, signature_cache, store }
    }

    /// Decides one request to an endpoint of the gate. In shadow mode this takes a second at most, unless a single rule is enforced: then
    /// a slow caller could get past that rule.
    pub async fn serve(&self, endpoint: &Endpoint, request: &Request) -> Decision {
        let modes = &self.config.settings.modes;
        let evaluation = Evaluation::new(modes.clone());
        let judged = self.follow(endpoint, request, &evaluation);
        if modes.general != Mode::Shadow || modes.of_rules.iter().any(|(_, mode)| *mode == Mode::Enforce) {
            return judged.await;
        }
        match select(pin!(judged), pin!(self.host.sleep(SHADOW_WAIT))).await {
            Either::Left((decision, _)) => decision,
            Either::Right(_) => {
                self.host.record(Event::ShadowTimedOut);
                self.host.record(Event::Passed { endpoint: endpoint.name() });
                Decision::hand_on_unchanged()
            }
        }
    }

    /// The same as [`Self::serve`]. It records the checks in `evaluation`.
    pub async fn follow(&self, endpoint: &Endpoint, request: &Request, evaluation: &Evaluation) -> Decision {
        let name = endpoint.name();
        let decision = match self.decide(endpoint, request, evaluation).await {
            Ok(decision) => {
                self.record_shadow_refusals(name, evaluation.shadow_refusals());
                let event = match &decision {
                    Decision::Answer(..) => Event::Allowed { endpoint: name },
                    Decision::HandOn(_) => Event::Passed { endpoint: name },
                };
                self.host.record(event);
                decision
            }
            Err(refusal) => self.refuse_after(evaluation.shadow_refusals(), name, refusal, None),
        };
        match decision {
            Decision::Answer(answer, outcome) => {
                Decision::Answer(answer.with_interaction_id(&self.config.settings.profile, request), outcome)
            }
            Decision::HandOn(changes) => Decision::HandOn(changes),
        }
    }

    /// Refuses a request, or lets it pass if its rule is in shadow mode. `allow` lists the methods of the resource.
    pub fn refuse(&self, endpoint: &'static str, refusal: Refusal, allow: Option<&'static str>) -> Decision {
        self.refuse_after(Vec::new(), endpoint, refusal, allow)
    }

    fn refuse_after(
        &self,
        mut in_shadow: Vec<Refusal>,
        endpoint: &'static str,
        refusal: Refusal,
        allow: Option<&'static str>,
    ) -> Decision {
        let modes = &self.config.settings.modes;
        if modes.general == Mode::Shadow && modes.of(refusal.rule.id) != Mode::Enforce {
            in_shadow.push(refusal);
            self.record_shadow_refusals(endpoint, in_shadow);
            self.host.record(Event::Passed { endpoint });
            return Decision::hand_on_unchanged();
        }
        self.record_shadow_refusals(endpoint, in_shadow);
        let answer = Answer::refused(&refusal, allow, &self.config.settings.profile);
        let outcome = Outcome::of(&refusal);
        self.host.record(Event::Denied { endpoint, refusal });
        Decision::Answer(answer, outcome)
    }

    fn record_shadow_refusals(&self, endpoint: &'static str, refusals: Vec<Refusal>) {
        if !refusals.is_empty() {
            self.host.record(Event::ShadowDenied { endpoint, refusals });
        }
    }

    async fn decide(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        evaluation: &Evaluation,
    ) -> Result<Decision, Refusal> {
        if matches!(endpoint, Endpoint::Register | Endpoint::Update(_) | Endpoint::Token) {
            evaluation.require(&[&RG_16], request.rg_16_content_coding())?;
        }
        if self.config.settings.modes.general == Mode::Shadow {
            self.shadow(endpoint, request, evaluation).await?;
            return Ok(Decision::hand_on_unchanged());
        }
        if *endpoint == Endpoint::Token && token::is_for_upstream(self, request).await {
            return Ok(Decision::hand_on_unchanged());
        }
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

    /// Whether the transport certificate belongs to the client, by the dialect of its directory. If the directory is no longer trusted, no
    /// certificate does.
    fn is_certificate_of(
        &self,
        issuer: &str,
        binding: &Binding,
        certificate: &Certificate,
        evaluation: &Evaluation,
    ) -> bool {
        self.config
            .settings
            .directory(issuer)
            .is_some_and(|directory| binding.check(certificate, directory, self.host.now(), evaluation).is_ok())
    }

    /// Judges a request without a change to the store. Only registration requests are judged, and token requests of clients that are in the
    /// store. The upstream serves all requests.
    async fn shadow(&self, endpoint: &Endpoint, request: &Request, evaluation: &Evaluation) -> Result<(), Refusal> {
        match endpoint {
            Endpoint::Register => register::shadow(self, Occasion::Registration, request, evaluation).await,
            Endpoint::Update(_) => register::shadow(self, Occasion::Update, request, evaluation).await,
            Endpoint::Token => token::shadow(self, request, evaluation).await,
            Endpoint::Retrieve(_) | Endpoint::Delete(_) | Endpoint::DistinguishedName | Endpoint::Discovery => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
