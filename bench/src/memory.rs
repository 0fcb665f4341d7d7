//! The memory of a VM of the filter when it is warm, and its growth.

use std::path::Path;
use std::sync::Arc;

use dcr_cli::keys::SigningKey;
use dcr_cli::pki::Pki;
use dcr_dev::Gateway;

use crate::error::Error;
use crate::listeners;
use crate::load::{Expecting, Load, count};
use crate::makes::{Make, Makes, prepare};
use crate::processes::resident_bytes;
use crate::requests::By;
use crate::scene::{Clients, connect_to_gateway, requests, start_gateway};
use crate::screen;

/// The number of connections. It is large enough that each worker gets some.
const CONNECTIONS: usize = 32;

/// After this many requests for each worker, a VM counts as warm.
const WARM: usize = 20_000;

/// The requests before the soak begins. They fill the bounded caches. The cache of verified statements fills last: it has 4096 entries, and
/// one request in twenty adds one.
const FILL: usize = 80_000;

/// How many requests of a mix are made at the same time.
const PORTION: usize = 2_000;

/// The resident memory of Envoy, in bytes: for one more VM, and for many more requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// With the filter: Envoy with one worker, and with [`MORE`] workers.
    pub(crate) with_filter: [f64; 2],
    /// The same without the filter.
    pub(crate) without_filter: [f64; 2],
    /// The growth during the soak, with the filter and without.
    pub(crate) growth: [f64; 2],
}

/// The larger number of workers.
const MORE: u32 = 3;

impl Memory {
    /// The resident memory of one VM: the memory of a worker with the filter, minus the memory of a worker without it.
    pub(crate) fn of_vm(&self) -> f64 {
        let [one, more] = self.with_filter;
        let [bare_one, bare_more] = self.without_filter;
        ((more - one) - (bare_more - bare_one)) / f64::from(MORE - 1)
    }

    /// The growth during the soak that the filter caused.
    pub(crate) fn soak_growth(&self) -> f64 {
        let [with, without] = self.growth;
        with - without
    }
}

/// Starts Envoy four times and sends each a mix of requests. Those with one worker, and so with one VM, get `soak` more.
pub(crate) async fn measure(pki: &Arc<Pki>, es256: &SigningKey, folder: &Path, soak: usize) -> Result<Memory, Error> {
    let mut bare = Subject::start(pki, es256, folder, 1, false).await?;
    let (one_bare, grown_bare) = (bare.warm().await?, bare.soak(soak).await?);
    let mut subject = Subject::start(pki, es256, folder, 1, true).await?;
    let (one, grown) = (subject.warm().await?, subject.soak(soak).await?);
    let more_bare = Subject::start(pki, es256, folder, MORE, false).await?.warm().await?;
    let more = Subject::start(pki, es256, folder, MORE, true).await?.warm().await?;
    Ok(Memory { with_filter: [one, more], without_filter: [one_bare, more_bare], growth: [grown, grown_bare] })
}

/// An Envoy that is measured.
struct Subject {
    title: String,
    gateway: Gateway,
    load: Load,
    mix: Vec<(usize, Make)>,
    warm: usize,
}

impl Subject {
    async fn start(
        pki: &Arc<Pki>,
        es256: &SigningKey,
        folder: &Path,
        workers: u32,
        with_filter: bool,
    ) -> Result<Self, Error> {
        let change = move |envoy: &mut _| {
            listeners::spread_evenly(envoy)?;
            if with_filter { Ok(()) } else { listeners::without_filter(envoy) }
        };
        let gateway = start_gateway(pki, es256, folder, workers, change).await?;
        let requests = Arc::new(requests(&gateway, es256)?);
        let makes = Makes::new(requests.clone());
        let mix = if with_filter {
            let clients = Clients::register(&gateway, &requests).await?;
            mix(&makes, &clients)
        } else {
            vec![(100, makes.assertion_in_header(By::Es256))]
        };
        let load = connect_to_gateway(&gateway, CONNECTIONS).await?;
        let filter = if with_filter { "dcr-gate" } else { "no filter" };
        let title = format!("{filter}, {workers} worker{}", if workers == 1 { "" } else { "s" });
        Ok(Self { title, gateway, load, mix, warm: WARM * usize::try_from(workers)? })
    }

    /// The resident memory when warm.
    async fn warm(&mut self) -> Result<f64, Error> {
        self.send(self.warm).await?;
        let warm = resident_bytes(self.gateway.envoy_id())?;
        screen::line(&format!("{}: {} when warm", self.title, mebibytes(warm)));
        Ok(warm)
    }

    /// The growth after this many further requests, once the caches are full.
    async fn soak(mut self, requests: usize) -> Result<f64, Error> {
        self.send(FILL).await?;
        let before = resident_bytes(self.gateway.envoy_id())?;
        self.send(requests).await?;
        let after = resident_bytes(self.gateway.envoy_id())?;
        let (before_text, after_text) = (mebibytes(before), mebibytes(after));
        screen::line(&format!(
            "{}: {before_text} with full caches, {after_text} after {requests} more requests",
            self.title
        ));
        Ok(after - before)
    }

    async fn send(&mut self, number: usize) -> Result<(), Error> {
        let mut sent = 0;
        while sent < number {
            let portion = self.portion()?;
            sent += portion.len();
            self.load.run(portion).await?;
        }
        Ok(())
    }

    /// Requests of all kinds. Each kind is spread evenly.
    fn portion(&self) -> Result<Vec<Expecting>, Error> {
        let mut placed = Vec::with_capacity(PORTION);
        for (per_cent, make) in &self.mix {
            let requests = prepare(PORTION * per_cent / 100, make)?;
            let number = count(requests.len());
            placed.extend(requests.into_iter().enumerate().map(|(at, request)| (count(at) / number, request)));
        }
        placed.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Ok(placed.into_iter().map(|(_, request)| request).collect())
    }
}

/// The number of requests of each kind in a hundred.
fn mix(make: &Makes, clients: &Clients) -> Vec<(usize, Make)> {
    vec![
        (5, make.token(&clients.ps256, By::Ps256)),
        (30, make.token(&clients.es256, By::Es256)),
        (20, make.token_by_certificate(&clients.certificate)),
        (5, make.registration()),
        (20, make.retrieval(&clients.ps256, &clients.access_token)),
        (5, make.expired_token(&clients.ps256)),
        (15, make.wrong_method()),
    ]
}

/// Bytes as text for people.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
}
