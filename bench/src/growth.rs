//! The cost of a token with more connections, more clients, more key sets, and more keys in a set.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use dcr_cli::client::client_config;
use dcr_cli::keys::SigningKey;
use dcr_cli::pki::Pki;
use dcr_dev::Gateway;
use dcr_store_protocol::{self as protocol, Client, NewClient, Outcome, Reply, WrittenClient, path};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::error::Error;
use crate::listeners;
use crate::load::{Load, count};
use crate::makes::{Make, prepare};
use crate::processes::cpu_time;
use crate::requests::{By, Requests};
use crate::rows::median;
use crate::scene::{Clients, connect_to_gateway, requests, start_gateway};
use crate::screen;

/// Rounds of each size. A figure is their median.
const ROUNDS: usize = 3;

/// Requests of a round. There is at least one for each client or key set.
const REQUESTS: usize = 2_000;

/// The most requests of a round.
const MOST: usize = 10_000;

/// Registrations that are sent to the store at the same time.
const AT_ONCE: usize = 64;

/// The numbers of third parties that call at the same time.
const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];

/// The numbers of clients in the store.
const CLIENTS: [usize; 3] = [1, 1_000, 100_000];

/// The numbers of key sets, one for each client. The last is more than the filter keeps.
const KEY_SETS: [usize; 3] = [1, 1_000, 10_000];

/// The numbers of keys in the only key set.
const KEYS: [usize; 3] = [1, 10, 100];

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// The dimension: `connections`, `clients`, `key_sets` or `keys_in_set`.
    pub(crate) of: &'static str,
    /// The size in this dimension.
    pub(crate) number: usize,
    /// Tokens per second.
    pub(crate) rate: f64,
    /// The median latency, in microseconds.
    pub(crate) p50_us: f64,
    /// Envoy's processor time for each token, in microseconds.
    pub(crate) envoy_us: f64,
}

/// Measures all sizes of all dimensions, with its own gateway.
pub(crate) async fn measure(
    pki: &Arc<Pki>,
    es256: &SigningKey,
    folder: &Path,
    workers: u32,
    connections: usize,
) -> Result<Vec<Point>, Error> {
    let gateway = start_gateway(pki, es256, folder, workers, listeners::spread_evenly).await?;
    let requests = Arc::new(requests(&gateway, es256)?);
    let registered = Clients::register(&gateway, &requests).await?;
    let load = connect_to_gateway(&gateway, connections).await?;
    let template = template(&gateway, &registered.ps256).await?;
    let key = pki.tpp.signing.public_jwk();
    let mut world = World { gateway, requests, load, template, key };

    let mut points = Vec::new();
    let mut clients = vec![registered.ps256];
    for number in CONNECTIONS {
        world.load = connect_to_gateway(&world.gateway, number).await?;
        points.push(world.measure("connections", number, &clients).await?);
    }
    world.load = connect_to_gateway(&world.gateway, connections).await?;
    for number in CLIENTS {
        let missing = number.saturating_sub(clients.len());
        clients.extend(world.register(missing, |_| None).await?);
        points.push(world.measure("clients", number, &clients).await?);
    }
    let mut clients: Vec<String> = Vec::new();
    for number in KEY_SETS {
        let new = clients.len()..number;
        let urls: Vec<String> = new.map(|at| world.publish(&format!("/sets/{at}.jwks"), Vec::new())).collect();
        clients.extend(world.register(urls.len(), |at| urls.get(at).cloned()).await?);
        points.push(world.measure("key_sets", number, &clients).await?);
    }
    for number in KEYS {
        let others = (1..number).map(|_| stranger()).collect::<Result<_, _>>()?;
        let url = world.publish(&format!("/keys/{number}.jwks"), others);
        let client = world.register(1, |_| Some(url.clone())).await?;
        points.push(world.measure("keys_in_set", number, &client).await?);
    }
    Ok(points)
}

struct World {
    gateway: Gateway,
    requests: Arc<Requests>,
    load: Load,
    /// A registration in the form that the store accepts.
    template: NewClient<Value>,
    /// The third party's public key.
    key: Value,
}

impl World {
    /// Puts clients into the store. Each has the key set for its number, or the key set of the template.
    async fn register(&self, number: usize, key_set: impl Fn(usize) -> Option<String>) -> Result<Vec<String>, Error> {
        let tls = client_config(&self.gateway.pki().server_ca.certificate_pem, None)?;
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).build()?;
        let url = format!("{}{}", self.gateway.store_url(), path::CLIENTS);
        let bodies = (0..number).map(|at| {
            let mut body = self.template.clone();
            if let (Some(url), Some(place)) = (key_set(at), body.record.get_mut("key_set_uri")) {
                *place = url.into();
            }
            body
        });
        let sent = bodies.map(|body| {
            let request = http.post(&url).json(&protocol::Clients { clients: vec![body] });
            async move {
                let mut created: protocol::Clients<Reply<WrittenClient>> =
                    request.send().await?.error_for_status()?.json().await?;
                match created.clients.pop().map(|reply| reply.outcome) {
                    Some(Outcome::Made(client)) => Ok(client.client_id),
                    other => Err(Error::from(format!("the store made no client: {other:?}"))),
                }
            }
        });
        stream::iter(sent).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Publishes a set with other keys and then the third party's key. Returns the URL of the set.
    fn publish(&self, path: &str, others: Vec<Value>) -> String {
        let keys: Vec<Value> = others.into_iter().chain([self.key.clone()]).collect();
        self.gateway.directory().publish(path, json!({ "keys": keys }));
        format!("{}{path}", self.gateway.directory().url())
    }

    /// Requests tokens for all clients, one after the other.
    async fn measure(&mut self, of: &'static str, number: usize, clients: &[String]) -> Result<Point, Error> {
        let make = tokens(self.requests.clone(), clients.to_vec());
        let requests = clients.len().clamp(REQUESTS, MOST);
        // A first run fills the caches of clients and key sets.
        self.load.run(prepare(requests, &make)?).await.map_err(|error| format!("{number} {of}: {error}"))?;
        let (mut rates, mut p50, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let prepared = prepare(requests, &make)?;
            let before = cpu_time(self.gateway.envoy_id())?;
            let run = self.load.run(prepared).await?;
            let spent = cpu_time(self.gateway.envoy_id())? - before;
            rates.push(run.rate());
            p50.push(run.quantile_us(50));
            cpu.push(spent.as_secs_f64() * 1e6 / count(run.requests()));
        }
        let point = Point { of, number, rate: median(rates), p50_us: median(p50), envoy_us: median(cpu) };
        screen::line(&format!(
            "{number:>7} {of}: {:.0} tokens/s, p50 {:.1} ms, {:.0} us in Envoy",
            point.rate,
            point.p50_us / 1e3,
            point.envoy_us
        ));
        Ok(point)
    }
}

/// The registration of a client, in the form in which it can be sent to the store again.
async fn template(gateway: &Gateway, client_id: &str) -> Result<NewClient<Value>, Error> {
    let tpp = gateway.client(None)?;
    let url = format!("{}/v1/clients/{client_id}", gateway.store_url());
    let client: Client<Value> = serde_json::from_value(tpp.send(tpp.request(Method::GET, &url)).await?.json())?;
    Ok(NewClient {
        request_id: None,
        traceparent: None,
        software: client.software,
        single_registration: false,
        registration_access_token: false,
        consume_jti: Vec::new(),
        record: client.record,
    })
}

/// Requests for tokens, for each of these clients in turn. All belong to the same third party, so its key signs for each.
fn tokens(requests: Arc<Requests>, clients: Vec<String>) -> Make {
    let next = AtomicUsize::new(0);
    Box::new(move || {
        let turn = next.fetch_add(1, Ordering::Relaxed) % clients.len().max(1);
        let client = clients.get(turn).ok_or("there is no client")?;
        Ok((requests.token(client, By::Ps256)?, 200))
    })
}

/// A public key without a private key: a random odd number of 2048 bits.
fn stranger() -> Result<Value, Error> {
    let mut modulus = [0; 256];
    SystemRandom::new().fill(&mut modulus).map_err(|_| "the system gave no random bytes")?;
    let [first, .., last] = &mut modulus;
    *first |= 0x80;
    *last |= 1;
    let kid = uuid::Uuid::new_v4().to_string();
    Ok(json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": BASE64_URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" }))
}
