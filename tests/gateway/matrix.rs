//! The matrix: every reason of the catalogue, broken on purpose in a request that is accepted otherwise, through a real Envoy, for each
//! profile. A reason without its case in a profile that has the rule fails the run, and so does a profile the matrix cannot speak.

mod assertion;
mod case;
mod coverage;
mod dialect;
mod jose;
mod management;
mod metadata;
mod redirect_uris;
mod request;
mod scene;
mod statement;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dcr_policy::profile::Profile;

pub(crate) use self::case::{Case, Shot};
use self::dialect::Dialect;
pub(crate) use self::scene::Scene;

/// How many gateways run side by side: each profile has its own.
const GATEWAYS: usize = 2;

#[test]
fn every_rule_of_every_profile_refuses_with_its_status_error_and_reason() {
    let (names, reports) = (Mutex::new(Profile::names()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..GATEWAYS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let Some(name) = names.lock().unwrap_or_else(PoisonError::into_inner).next() else { break };
                    let report = runtime.block_on(run(name));
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });

    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|report| Profile::names().position(|name| name == report.profile));
    reports.iter().for_each(|report| println!("{}", report.summary));
    let failures: Vec<String> = reports.into_iter().flat_map(|report| report.failures).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// What came out for one profile.
struct Report {
    profile: &'static str,
    summary: String,
    failures: Vec<String>,
}

async fn run(name: &'static str) -> Report {
    let (summary, failures) = match play(name).await {
        Ok(outcome) => outcome,
        Err(problem) => ("not run".to_owned(), vec![problem]),
    };
    let failures = failures.into_iter().map(|failure| format!("{name}: {failure}")).collect();
    Report { profile: name, summary: format!("{name}: {summary}"), failures }
}

/// The summary and the failures of a profile, or why there are none.
async fn play(name: &str) -> Result<(String, Vec<String>), String> {
    let started = Instant::now();
    let profile = Profile::named(name).map_err(|error| error.0)?;
    let scene = Scene::new(Dialect::of(profile.clone())?).await?;
    let cases = cases(&profile);
    let mut failures = scene.play(&cases).await;
    failures.extend(coverage::gaps(&profile, &cases));
    if !scene.gateway.backend().requests().is_empty() {
        failures.push("a refused request reached the backend".to_owned());
    }
    Ok((coverage::summary(&profile, &cases, started.elapsed()), failures))
}

/// Everything that applies to this profile, in the order in which it has to be sent.
fn cases(profile: &Profile) -> Vec<Case> {
    [
        request::cases(profile),
        statement::cases(profile),
        jose::cases(profile),
        redirect_uris::cases(profile),
        metadata::cases(profile),
        assertion::cases(profile),
        management::cases(profile),
    ]
    .into_iter()
    .flatten()
    .collect()
}
