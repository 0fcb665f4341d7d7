//! `dcr check` and Envoy decide alike: the requests of the matrix that it can be asked about, judged from files' contents.

use std::collections::HashMap;

use dcr_cli::client::{JWT_BEARER, media_type};
use dcr_cli::judge::{self, Judgement, Verdict};
use dcr_cli::mint::inspect::Inspected;
use dcr_cli::mint::now;
use dcr_dev::envoy::EnvoyConfiguration;
use dcr_gate::config::Config;
use dcr_policy::catalogue::Place;
use dcr_x509::Certificate;
use reqwest::{Method, Request, header};
use serde_json::Value;

use super::{Case, Scene};

/// How many requests of a profile `dcr check` judges at least.
const AT_LEAST: usize = 100;

/// The cases that `dcr check` decides in another way than Envoy did.
pub(super) fn differences(scene: &Scene, cases: &[Case]) -> Result<Vec<String>, String> {
    let configuration = configuration(scene)?;
    let judged: Vec<_> = cases
        .iter()
        .filter(|case| !case.rule().is_some_and(|rule| rule.places.contains(&Place::Store)))
        .filter_map(|case| Some((case, judgement(scene, &configuration, case)?)))
        .collect();
    if judged.len() < AT_LEAST {
        return Err(format!("dcr check was asked about {} requests only", judged.len()));
    }
    Ok(judged.into_iter().filter_map(|(case, judgement)| difference(scene, case, judgement)).collect())
}

fn difference(scene: &Scene, case: &Case, judgement: Result<Judgement, String>) -> Option<String> {
    let expected = (case.status, case.error_in(&scene.dialect.profile), case.reason);
    let problem = match judgement {
        Ok(judgement) => match &judgement.verdict {
            Verdict::Accepted if case.reason.is_none() => return None,
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Refused { refusal, error } => {
                let found = (refusal.status(), Some(error.as_str()), Some(refusal.rule.reason));
                if found == expected {
                    return None;
                }
                format!("refused with {found:?}")
            }
        },
        // A gateway that lacks something answers that it cannot decide now. `dcr check` says what is missing.
        Err(_) if case.status == 503 => return None,
        Err(problem) => problem,
    };
    Some(format!("{}: dcr check: {problem} instead of {expected:?}", case.name))
}

/// The configuration of this gateway's filter.
fn configuration(scene: &Scene) -> Result<Value, String> {
    let path = scene.gateway.folder().join("envoy.json");
    let mut envoy = EnvoyConfiguration::read(&path).map_err(|error| error.to_string())?;
    envoy.plugin_configuration().cloned().map_err(|error| error.to_string())
}

/// What `dcr check` decides about the request of this case. `None` if it cannot be asked: it takes registration requests and the client
/// assertions of token requests, as a caller sends them who adds nothing.
fn judgement(scene: &Scene, configuration: &Value, case: &Case) -> Option<Result<Judgement, String>> {
    let shot = (case.shot)(scene);
    let request = shot.request.build().ok().filter(|request| request.method() == Method::POST)?;
    let body = std::str::from_utf8(request.body()?.as_bytes()?).ok()?;
    let judged = || -> Result<judge::Case, String> {
        let certificate = shot.client.certificate.as_deref();
        let key_sets = scene.gateway.directory().key_sets();
        Ok(judge::Case {
            config: Config::from_value(configuration.clone()).map_err(|error| error.to_string())?,
            certificate: certificate.map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap()),
            at: now(),
            key_sets: key_sets.into_iter().map(|(url, key_set)| (Some(url), key_set)).collect(),
        })
    };
    let url = request.url().as_str();
    let judgement = if url == shot.client.endpoints.registration && is_plain(&request, media_type(body)) {
        judged().and_then(|case| case.judge_registration(body).map_err(|error| error.to_string()))
    } else if url == shot.client.endpoints.token && is_plain(&request, "application/x-www-form-urlencoded") {
        let assertion = only_assertion(body)?;
        let registrations = scene.registrations.borrow();
        let registration = client_of(&assertion).and_then(|id| registrations.get(&id));
        let registration = registration.or_else(|| registrations.get(&scene.client_id))?;
        judged().and_then(|case| case.judge_assertion(registration, &assertion).map_err(|error| error.to_string()))
    } else {
        return None;
    };
    Some(judgement)
}

/// Whether the caller sends this media type and no other header of its own.
fn is_plain(request: &Request, media_type: &str) -> bool {
    let headers = request.headers();
    let has_others = headers.keys().any(|name| ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name));
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value == media_type) && !has_others
}

/// The assertion of a token request that has nothing else.
fn only_assertion(form: &str) -> Option<String> {
    let pairs: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let form: HashMap<&str, &str> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let is_usual = pairs.len() == 3
        && form.get("grant_type") == Some(&"client_credentials")
        && form.get("client_assertion_type") == Some(&JWT_BEARER);
    form.get("client_assertion").filter(|_| is_usual).map(|assertion| (*assertion).to_owned())
}

fn client_of(assertion: &str) -> Option<String> {
    Inspected::parse_jws(assertion).ok()?.claims.get("sub")?.as_str().map(str::to_owned)
}
