//! The rows of the table, each with its listener and its requests. All are warm before the first round, and every round measures all of
//! them in turn. So other load on the machine affects all rows alike. A figure is the median of the rounds.
//!
//! Rows whose difference is about a microsecond take turns many times within a round. The speed of the machine can change by more than that
//! within a second, but rarely within hundredths of a second.

use std::time::Duration;

use crate::error::Error;
use crate::listeners::Listener;
use crate::load::{Expecting, Load, Run, count};
use crate::makes::{Make, Makes, prepare};
use crate::processes::cpu_time;
use crate::requests::By;
use crate::scene::Scene;
use crate::screen;

/// Requests of each row before the first round, and the fewest in a round.
const FEW: usize = 400;

/// The most requests in a round. They are all in memory.
const MANY: usize = 60_000;

/// How many turns such rows take in a round.
const TURNS: usize = 10;

/// The other rows' processor time is compared with this row.
const NO_FILTER: &str = "no_filter";

/// One row.
pub(crate) struct Row {
    /// Its name in the report and for `--rows`.
    pub(crate) key: &'static str,
    /// Its name in the table.
    pub(crate) title: &'static str,
    listener: Listener,
    make: Make,
    /// Whether it takes turns with the neighbouring rows that do so too.
    takes_turns: bool,
    rounds: Vec<Round>,
}

#[derive(Default)]
struct Round {
    run: Run,
    /// The processor time in Envoy, in the store or node-oidc-provider, and in this process, which contains the load and the ext_authz
    /// service.
    spent: [Duration; 3],
}

/// The data of a row in one round.
struct Part<'a> {
    row: &'a Row,
    /// The process ids of Envoy, of the service, and of this process.
    processes: [Option<u32>; 3],
    load: Load,
    /// The requests of each turn that is still to come.
    requests: Vec<Vec<Expecting>>,
    round: Round,
}

/// The results of a row: medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Requests per second.
    pub(crate) rate: f64,
    /// The median latency, in microseconds.
    pub(crate) p50_us: f64,
    /// The latency that 99 of 100 requests did not exceed, in microseconds.
    pub(crate) p99_us: f64,
    /// The processor time of Envoy for each request, over all its threads, in microseconds.
    pub(crate) envoy_us: f64,
    /// The difference to the row without a filter, round by round. A slow phase of the machine affects both.
    pub(crate) above_us: Option<f64>,
    /// The processor time of the store (or of node-oidc-provider) for each request, in microseconds.
    pub(crate) service_us: f64,
    /// The processor time of this program for each request, in microseconds. It contains the third parties and the ext_authz service.
    pub(crate) own_us: f64,
    /// The number of requests in all rounds.
    pub(crate) requests: usize,
}

/// All rows, in the table's order.
pub(crate) fn all(scene: &Scene) -> Result<Vec<Row>, Error> {
    use Listener::{ExtAuthz, Gateway, JwtAuthn, NoFilter, NoopWasm, OidcProvider};

    let make = Makes::of(scene);
    let retrieval = make.retrieval(&scene.clients.ps256, &scene.clients.access_token);
    Ok(vec![
        row(NO_FILTER, "no filter", NoFilter, make.unread_assertion_in_header()?).taking_turns(),
        row("noop_wasm", "no-op wasm filter", NoopWasm, make.unread_assertion_in_header()?).taking_turns(),
        row("other_path", "dcr-gate, a path of the upstream", Gateway, make.other_path()?).taking_turns(),
        row("refusal_method", "dcr-gate refusal: wrong method", Gateway, make.wrong_method()).taking_turns(),
        row("jwt_authn_ps256", "jwt_authn PS256", JwtAuthn, make.assertion_in_header(By::Ps256)).taking_turns(),
        row("jwt_authn_es256", "jwt_authn ES256", JwtAuthn, make.assertion_in_header(By::Es256)).taking_turns(),
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

/// Warms all rows up, then measures each for about this long in every round.
pub(crate) async fn measure(
    scene: &Scene,
    rows: &mut [Row],
    rounds: usize,
    round: Duration,
    connections: usize,
) -> Result<(), Error> {
    for row in rows.iter_mut() {
        let warm = take_turns(scene, std::slice::from_mut(row), None, connections).await?;
        row.rounds.extend(warm);
    }
    for number in 0..=rounds {
        screen::progress(&match number {
            0 => "warming up:".to_owned(),
            _ => format!("round {number} of {rounds}:"),
        });
        let mut groups: Vec<_> = rows.chunk_by_mut(|one, next| one.takes_turns && next.takes_turns).collect();
        // Each round begins with another row, so that the same row does not always follow the busiest one.
        let first = number % groups.len().max(1);
        groups.rotate_left(first);
        for group in groups {
            let results = take_turns(scene, group, Some(round), connections).await?;
            for (row, result) in group.iter_mut().zip(results) {
                screen::progress(&format!(" {} {:.0}/s", row.key, result.run.rate()));
                if number == 0 {
                    row.rounds.clear();
                }
                row.rounds.push(result);
            }
        }
        screen::line("");
    }
    Ok(())
}

/// Measures each of the rows for about this long, or with a few requests if there is no time. A single row has one turn.
async fn take_turns(
    scene: &Scene,
    rows: &[Row],
    time: Option<Duration>,
    connections: usize,
) -> Result<Vec<Round>, Error> {
    let turns = if rows.len() > 1 { TURNS } else { 1 };
    let mut parts = Vec::with_capacity(rows.len());
    for row in rows {
        parts.push(row.part(scene, time.map_or(FEW, |time| row.requests_for(time)), turns, connections).await?);
    }
    for turn in 0..turns {
        let (last, first) = parts.split_at_mut(turn % rows.len());
        for part in first.iter_mut().chain(last) {
            part.turn().await.map_err(|error| format!("{}: {error}", part.row.title))?;
        }
    }
    Ok(parts.into_iter().map(|part| part.round).collect())
}

/// The results of all rows, with their keys and titles.
pub(crate) fn figures(rows: &[Row]) -> Vec<(&'static str, &'static str, Figures)> {
    let no_filter = rows.iter().find(|row| row.key == NO_FILTER);
    let others = |row: &&Row| no_filter.filter(|_| row.key != NO_FILTER);
    rows.iter().map(|row| (row.key, row.title, row.figures(others(&row)))).collect()
}

impl Row {
    /// The medians of the row's rounds, compared with the rounds of the row without a filter.
    fn figures(&self, no_filter: Option<&Row>) -> Figures {
        let of = |figure: fn(&Round) -> f64| median(self.rounds.iter().map(figure).collect());
        let above = |no_filter: &Row| {
            let both = self.rounds.iter().zip(&no_filter.rounds);
            median(both.map(|(own, none)| own.envoy_us() - none.envoy_us()).collect())
        };
        Figures {
            rate: of(|round| round.run.rate()),
            p50_us: of(|round| round.run.quantile_us(50)),
            p99_us: of(|round| round.run.quantile_us(99)),
            envoy_us: of(Round::envoy_us),
            above_us: no_filter.map(above),
            service_us: of(|round| round.each_us()[1]),
            own_us: of(|round| round.each_us()[2]),
            requests: self.rounds.iter().map(|round| round.run.requests()).sum(),
        }
    }

    fn taking_turns(self) -> Self {
        Self { takes_turns: true, ..self }
    }

    /// As many requests as the row answered in this time in its last round.
    fn requests_for(&self, round: Duration) -> usize {
        let answered = self.rounds.last().map_or(FEW, |last| last.run.requests_in(round));
        answered.clamp(FEW, MANY)
    }

    /// Prepares a round with this many requests.
    async fn part(&self, scene: &Scene, requests: usize, turns: usize, connections: usize) -> Result<Part<'_>, Error> {
        let service = match self.listener {
            Listener::OidcProvider => Some(scene.oidc_provider.id()),
            _ => scene.gateway.store_id(),
        };
        let processes = [Some(scene.gateway.envoy_id()), service, Some(std::process::id())];
        if self.listener == Listener::OidcProvider {
            scene.renew_oidc_client().await?;
        }
        let first = prepare(connections, &self.make)?;
        let at_a_turn = requests.div_ceil(turns);
        let requests = (0..turns).map(|_| prepare(at_a_turn, &self.make)).collect::<Result<_, _>>()?;
        let mut load = scene.connect(self.listener, connections).await?;
        // The first requests make the handshakes, which are not measured.
        load.run(first).await.map_err(|error| format!("{}: {error}", self.title))?;
        Ok(Part { row: self, processes, load, requests, round: Round::default() })
    }
}

impl Part<'_> {
    async fn turn(&mut self) -> Result<(), Error> {
        let Some(requests) = self.requests.pop() else { return Ok(()) };
        let before = self.used()?;
        let run = self.load.run(requests).await?;
        let after = self.used()?;
        self.round.run.extend(run);
        for ((spent, before), after) in self.round.spent.iter_mut().zip(before).zip(after) {
            // If a thread has ended, its processor time is lost.
            *spent += after.saturating_sub(before);
        }
        Ok(())
    }

    fn used(&self) -> Result<Vec<Duration>, Error> {
        self.processes.iter().map(|id| id.map_or(Ok(Duration::ZERO), cpu_time)).collect()
    }
}

impl Round {
    /// The processor time for each request, in microseconds: in Envoy, in the service, in this process.
    fn each_us(&self) -> [f64; 3] {
        self.spent.map(|spent| spent.as_secs_f64() * 1e6 / count(self.run.requests()))
    }

    fn envoy_us(&self) -> f64 {
        let [envoy, ..] = self.each_us();
        envoy
    }
}

/// The middle value. Of an even number of values, it is the lower of the two middle ones.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn row(key: &'static str, title: &'static str, listener: Listener, make: Make) -> Row {
    Row { key, title, listener, make, takes_turns: false, rounds: Vec::new() }
}
