//! The rows of the table: who is asked for what. All are warm before the first round counts, and every round measures all of them in
//! turn, so that whatever else the machine does hits all alike. A figure is the median of the rounds.

use std::time::Duration;

use crate::error::Error;
use crate::listeners::Listener;
use crate::load::{Run, count};
use crate::makes::{Make, Makes, prepare};
use crate::processes::cpu_time;
use crate::requests::By;
use crate::scene::Scene;
use crate::screen;

/// Requests of each row before the first round, and the least of a round.
const FEW: usize = 400;

/// The most requests of a round: they are all in memory.
const MANY: usize = 60_000;

/// The row that the others' processor time is compared with.
const NO_FILTER: &str = "no_filter";

/// One row.
pub(crate) struct Row {
    /// Its name in the report and for `--rows`.
    pub(crate) key: &'static str,
    /// Its name in the table.
    pub(crate) title: &'static str,
    listener: Listener,
    make: Make,
    rounds: Vec<Round>,
}

struct Round {
    run: Run,
    /// Processor time a request in Envoy, in microseconds.
    envoy_us: f64,
    /// The same in the store or in node-oidc-provider.
    service_us: f64,
    /// The same in this process: the load, and the ext_authz service.
    own_us: f64,
}

/// What a row came to: medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Half of the requests were answered within this many microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 were answered within this many microseconds.
    pub(crate) p99_us: f64,
    /// Processor time a request in Envoy, all its threads, in microseconds.
    pub(crate) envoy_us: f64,
    /// How much that is more than without a filter, round by round: what slows the machine for a while slows both.
    pub(crate) above_us: Option<f64>,
    /// Processor time a request in the store (or in node-oidc-provider), in microseconds.
    pub(crate) service_us: f64,
    /// Processor time a request in this program, which is the third parties and the ext_authz service, in microseconds.
    pub(crate) own_us: f64,
    /// Requests measured in all rounds.
    pub(crate) requests: usize,
}

/// All rows, in the table's order.
pub(crate) fn all(scene: &Scene) -> Result<Vec<Row>, Error> {
    use Listener::{ExtAuthz, Gateway, JwtAuthn, NoFilter, NoopWasm, OidcProvider};

    let make = Makes::of(scene);
    let retrieval = make.retrieval(&scene.clients.ps256, &scene.clients.access_token);
    Ok(vec![
        row(NO_FILTER, "no filter", NoFilter, make.unread_assertion_in_header()?),
        row("noop_wasm", "no-op wasm filter", NoopWasm, make.unread_assertion_in_header()?),
        row("jwt_authn_ps256", "jwt_authn PS256", JwtAuthn, make.assertion_in_header(By::Ps256)),
        row("jwt_authn_es256", "jwt_authn ES256", JwtAuthn, make.assertion_in_header(By::Es256)),
        row("token_ps256", "dcr-gate token PS256", Gateway, make.token(&scene.clients.ps256, By::Ps256)),
        row("token_es256", "dcr-gate token ES256", Gateway, make.token(&scene.clients.es256, By::Es256)),
        row(
            "token_tls_client_auth",
            "dcr-gate token tls_client_auth",
            Gateway,
            make.token_by_certificate(&scene.clients.certificate),
        ),
        row("register", "dcr-gate registration", Gateway, make.registration()),
        row("retrieve", "dcr-gate retrieve", Gateway, retrieval),
        row(
            "refusal_expired",
            "dcr-gate refusal: expired assertion",
            Gateway,
            make.expired_token(&scene.clients.ps256),
        ),
        row("refusal_method", "dcr-gate refusal: wrong method", Gateway, make.wrong_method()),
        row("other_path", "dcr-gate, a path of the upstream", Gateway, make.other_path()?),
        row("ext_authz_token_ps256", "ext_authz token PS256", ExtAuthz, make.token(&scene.clients.ps256, By::Ps256)),
        row("ext_authz_register", "ext_authz registration", ExtAuthz, make.registration()),
        row(
            "oidc_provider_token_ps256",
            "node-oidc-provider token PS256",
            OidcProvider,
            make.oidc_token(&scene.oidc_client),
        ),
        row("oidc_provider_register", "node-oidc-provider registration", OidcProvider, make.oidc_registration()),
    ])
}

/// Warms all rows up, then measures each in every round for about so long.
pub(crate) async fn measure(
    scene: &Scene,
    rows: &mut [Row],
    rounds: usize,
    round: Duration,
    connections: usize,
) -> Result<(), Error> {
    for row in rows.iter_mut() {
        let warm = row.round(scene, FEW, connections).await?;
        row.rounds.push(warm);
    }
    for number in 0..=rounds {
        screen::progress(&match number {
            0 => "warming up:".to_owned(),
            _ => format!("round {number} of {rounds}:"),
        });
        // Each round begins with another row, so that none is always the one that follows the busiest.
        let (last, first) = rows.split_at_mut(number % rows.len().max(1));
        for row in first.iter_mut().chain(last) {
            let result = row.round(scene, row.requests_for(round), connections).await?;
            screen::progress(&format!(" {} {:.0}/s", row.key, result.run.rate()));
            if number == 0 {
                row.rounds.clear();
            }
            row.rounds.push(result);
        }
        screen::line("");
    }
    Ok(())
}

/// What all rows came to, with their keys and titles.
pub(crate) fn figures(rows: &[Row]) -> Vec<(&'static str, &'static str, Figures)> {
    let no_filter = rows.iter().find(|row| row.key == NO_FILTER);
    let others = |row: &&Row| no_filter.filter(|_| row.key != NO_FILTER);
    rows.iter().map(|row| (row.key, row.title, row.figures(others(&row)))).collect()
}

impl Row {
    /// The medians of its rounds, beside the rounds of the row without a filter.
    fn figures(&self, no_filter: Option<&Row>) -> Figures {
        let of = |figure: fn(&Round) -> f64| median(self.rounds.iter().map(figure).collect());
        let above = |no_filter: &Row| {
            let both = self.rounds.iter().zip(&no_filter.rounds);
            median(both.map(|(own, none)| own.envoy_us - none.envoy_us).collect())
        };
        Figures {
            rate: of(|round| round.run.rate()),
            p50_us: of(|round| round.run.quantile_us(50)),
            p99_us: of(|round| round.run.quantile_us(99)),
            envoy_us: of(|round| round.envoy_us),
            above_us: no_filter.map(above),
            service_us: of(|round| round.service_us),
            own_us: of(|round| round.own_us),
            requests: self.rounds.iter().map(|round| round.run.requests()).sum(),
        }
    }

    /// As many requests as the row answered in that time in its last round.
    fn requests_for(&self, round: Duration) -> usize {
        let answered = self.rounds.last().map_or(FEW, |last| last.run.requests_in(round));
        answered.clamp(FEW, MANY)
    }

    async fn round(&self, scene: &Scene, requests: usize, connections: usize) -> Result<Round, Error> {
        let context = |error| format!("{}: {error}", self.title);
        let service = match self.listener {
            Listener::OidcProvider => Some(scene.oidc_provider.id()),
            _ => scene.gateway.store_id(),
        };
        let processes = [Some(scene.gateway.envoy_id()), service, Some(std::process::id())];
        let used =
            || processes.map(|id| id.map_or(Ok(Duration::ZERO), cpu_time)).into_iter().collect::<Result<Vec<_>, _>>();

        if self.listener == Listener::OidcProvider {
            scene.renew_oidc_client().await?;
        }
        let first = prepare(connections, &self.make)?;
        let requests = prepare(requests, &self.make)?;
        let mut load = scene.connect(self.listener, connections).await?;
        // Handshakes are not what is measured.
        load.run(first).await.map_err(context)?;
        let before = used()?;
        let run = load.run(requests).await.map_err(context)?;
        let after = used()?;

        // A thread that has ended takes its time with it.
        let each = |(before, after): (Duration, Duration)| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / count(run.requests())
        };
        let mut spent = before.into_iter().zip(after).map(each);
        let [envoy_us, service_us, own_us] = [(); 3].map(|()| spent.next().unwrap_or_default());
        Ok(Round { run, envoy_us, service_us, own_us })
    }
}

/// The middle one; of an even number, the lower of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn row(key: &'static str, title: &'static str, listener: Listener, make: Make) -> Row {
    Row { key, title, listener, make, rounds: Vec::new() }
}
