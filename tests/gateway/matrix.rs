//! The matrix: every reason of the catalogue, broken on purpose in a request that is accepted otherwise, through a real Envoy. A reason
//! without its case fails the run.

mod assertion;
mod jose;
mod management;
mod metadata;
mod request;
mod scene;
mod statement;

use std::collections::BTreeSet;

use dcr_gate::policy::catalogue::RULES;

pub(crate) use self::scene::{Case, Scene, Shot};

/// Reasons that cannot be provoked by one request to one gateway, and the test that provokes them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("store_unavailable", "traps: a store that is down, slow or talks nonsense"),
    ("key_set_unavailable", "journeys: a directory that is down"),
    ("header_repeated", "src/journey/tests/registration.rs: Envoy joins what is repeated before the filter sees it"),
    ("path_not_canonical", "traps: paths"),
    ("record_changed_meanwhile", "src/journey/tests/management.rs: two updates at once"),
    (
        "transport_certificate_dates",
        "src/policy/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    (
        "organisation_certificate_dates",
        "src/policy/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    ("statement_too_old", "journeys: a gateway with software_statement.max_age"),
    ("software_already_registered", "journeys: a gateway with registration.single_registration"),
    ("certificate_not_of_client", "src/journey/tests/management.rs: the store never issues such a token"),
    ("software_changed", "src/journey/tests/management.rs: certificate binding refuses it first"),
    (
        "client_unknown",
        "src/journey/tests/management.rs: a client's tokens die with it, so its id is another's or unknown",
    ),
];

#[tokio::test]
async fn every_rule_refuses_with_its_status_error_and_reason() {
    let scene = Scene::new().await;
    let cases: Vec<Case> = [
        request::cases(),
        statement::cases(),
        jose::cases(),
        metadata::cases(),
        assertion::cases(),
        management::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut failures = Vec::new();
    for case in &cases {
        if let Err(problem) = scene.play(case).await {
            failures.push(format!("{}: {}: {problem}", case.rule(), case.name));
        }
    }
    println!("{} cases over {} rules", cases.len(), cases.iter().map(Case::rule).collect::<BTreeSet<_>>().len());
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n"));

    let covered: BTreeSet<&str> =
        cases.iter().filter_map(|case| case.reason).chain(ELSEWHERE.iter().map(|(reason, _)| *reason)).collect();
    let missing: Vec<&str> = RULES.iter().map(|rule| rule.reason).filter(|reason| !covered.contains(reason)).collect();
    assert!(missing.is_empty(), "no case breaks {missing:?}");
    let unheard_of: Vec<_> =
        covered.iter().filter(|reason| !RULES.iter().any(|rule| rule.reason == **reason)).collect();
    assert!(unheard_of.is_empty(), "no rule has the reason {unheard_of:?}");
    assert!(scene.gateway.backend().requests().is_empty(), "a refused request reached the backend");
}
