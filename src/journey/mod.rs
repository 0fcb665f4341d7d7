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
pub use request::{Head, Request};
pub use route::{Endpoint, Route, route};

use crate::config::{Config, OtherGrants};
use crate::host::{Event, Host};
use crate::jwks::KeySets;
use crate::policy::Refusal;
use crate::store::Store;

/// Everything a journey works with.
#[derive(Debug)]
pub struct Gate<H> {
    /// The operator's configuration.
    pub config: Config,
    /// The surroundings.
    pub host: H,
    /// The key sets at hand.
    pub key_sets: KeySets<H>,
    /// The client store.
    pub store: Store<H>,
}

impl<H: Host> Gate<H> {
    /// A gate with nothing cached.
    pub fn new(config: Config, host: H) -> Self {
        let key_sets = KeySets::new(host.clone(), &config);
        let store = Store::new(host.clone(), &config.store);
        Self { config, host, key_sets, store }
    }

    /// Answers one request to an endpoint of ours.
    pub async fn serve(&self, endpoint: &Endpoint, request: &Request) -> Answer {
        let outcome = match endpoint {
            Endpoint::Register => register::register(self, request).await,
            Endpoint::Retrieve(client_id) => retrieve::retrieve(self, request, client_id).await,
            Endpoint::Update(client_id) => update::update(self, request, client_id).await,
            Endpoint::Delete(client_id) => delete::delete(self, request, client_id).await,
            Endpoint::Token => token::token(self, request).await,
            Endpoint::DistinguishedName => distinguished_name::distinguished_name(self, request),
            Endpoint::Discovery => Ok(discovery::discovery(&self.config)),
        };
        match outcome {
            Ok(answer) => {
                self.host.record(Event::Allowed { endpoint: endpoint.name() });
                answer
            }
            Err(refusal) => self.refuse(endpoint.name(), refusal, None),
        }
    }

    /// Whether the request is the upstream's business after all: a token request for a grant that is served there.
    pub async fn is_for_upstream(&self, endpoint: &Endpoint, request: &Request) -> bool {
        let passes = *endpoint == Endpoint::Token
            && self.config.other_grants == OtherGrants::Pass
            && token::asks_for_another_grant(request).await;
        if passes {
            self.host.record(Event::Passed { endpoint: endpoint.name() });
        }
        passes
    }

    /// Answers a request that was refused before it reached an endpoint; `allow` lists the methods of the resource.
    pub fn refuse(&self, endpoint: &'static str, refusal: Refusal, allow: Option<&'static str>) -> Answer {
        let answer = Answer::refused(&refusal, allow, &self.config.profile);
        self.host.record(Event::Denied { endpoint, refusal });
        answer
    }
}

#[cfg(test)]
pub(crate) mod tests;
