//! The matrix. For each profile, it breaks each reason of the catalogue in an otherwise valid request, through a real Envoy. The run fails
//! if a profile has a rule whose reason has no case, or if the matrix does not know the profile.

mod assertion;
mod case;
mod coverage;
mod dialect;
mod jose;
mod judged;
mod management;
mod metadata;
mod redirect_uris;
mod request;
mod scene;
mod statement;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dcr_policy::profile::Profile;

use crate::forwarded;

pub(crate) use self::case::{Case, Shot};
use self::dialect::Dialect;
pub(crate) use self::scene::Scene;

/// How many gateways run at the same time. Each profile has its own gateway.
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

/// The result for one profile.
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

/// The summary and the failures of a profile, or the reason why it could not run.
async fn play(name: &str) -> Result<(String, Vec<String>), String> {
    let started = Instant::now();
    let profile = Profile::named(name).map_err(|error| error.0)?;
    let scene = Scene::new(Dialect::of(profile.clone())?).await?;
    let cases = cases(&profile);
    let mut failures = scene.play(&cases).await;
    failures.extend(coverage::gaps(&profile, &cases));
    failures.extend(judged::differences(&scene, &cases)?);
    if forwarded::reached(&scene.gateway) > 0 {
        failures.push("a refused request reached the backend".to_owned());
    }
    Ok((coverage::summary(&profile, &cases, started.elapsed()), failures))
}

/// All cases for this profile, in the order in which they must be sent.
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
