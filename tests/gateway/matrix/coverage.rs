//! Whether every rule of a profile has its case, and which rules a profile does not have.

use std::collections::BTreeSet;
use std::time::Duration;

use dcr_gate::policy::catalogue::RULES;
use dcr_gate::policy::profile::Profile;

use super::Case;
use super::dialect::{PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows};

/// Reasons that cannot be provoked by one request to one gateway, and the test that provokes them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("store_unavailable", "traps: a store that is down, slow or talks nonsense"),
    ("key_set_unavailable", "journeys: a directory that is down"),
    ("header_repeated", "src/journey/tests/registration.rs: Envoy joins what is repeated before the filter sees it"),
    ("path_not_canonical", "traps: paths"),
    ("record_changed_meanwhile", "src/journey/tests/management.rs: two updates at once"),
    ("certificate_dates", "src/policy/certificate_binding/tests.rs: the TLS layer refuses such certificates first"),
    (
        "transport_certificate_dates",
        "src/policy/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    (
        "organisation_certificate_dates",
        "src/policy/certificate_binding/tests.rs: the TLS layer refuses such certificates first",
    ),
    ("software_already_registered", "journeys: a gateway with registration.single_registration"),
    ("certificate_not_of_client", "src/journey/tests/management.rs: the store never issues such a token"),
    (
        "client_unknown",
        "src/journey/tests/management.rs: a client's tokens die with it, so its id is another's or unknown",
    ),
];

/// How many cases and rules there were, in which time, and which rules the profile does not have.
pub(super) fn summary(profile: &Profile, cases: &[Case], took: Duration) -> String {
    let rules: BTreeSet<&str> = cases.iter().filter_map(Case::rule).map(|rule| rule.id).collect();
    let accepted = cases.iter().filter(|case| case.reason.is_none()).count();
    let (refused, rules, took) = (cases.len() - accepted, rules.len(), took.as_secs_f32());
    let absent = absent(profile).into_iter().map(|(reason, why)| {
        let id = RULES.iter().find(|rule| rule.reason == reason).map_or("?", |rule| rule.id);
        format!("\n    without {id} {reason}: {why}")
    });
    format!("{refused} refused, {accepted} accepted, {rules} rules, {took:.1} s{}", absent.collect::<String>())
}

/// What is missing or wrong in the cases of a profile.
pub(super) fn gaps(profile: &Profile, cases: &[Case]) -> Vec<String> {
    let covered: BTreeSet<&str> = cases.iter().filter_map(|case| case.reason).collect();
    let absent: BTreeSet<&str> = absent(profile).into_iter().map(|(reason, _)| reason).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    let known: BTreeSet<&str> = RULES.iter().map(|rule| rule.reason).collect();

    let accounted_for: BTreeSet<&str> = [&covered, &absent, &elsewhere].into_iter().flatten().copied().collect();
    let missing = known.difference(&accounted_for).map(|reason| {
        format!(
            "no case breaks {reason}: add one, or say in matrix/coverage.rs why this profile does not have the rule"
        )
    });
    let unheard_of = accounted_for.difference(&known).map(|reason| format!("no rule has the reason {reason}"));
    let both = covered
        .intersection(&absent)
        .map(|reason| format!("a case breaks {reason}, which this profile does not have as matrix/coverage.rs says"));
    missing.chain(unheard_of).chain(both).collect()
}

/// The reasons nobody can meet in this profile, and why. It follows from the profile's values, whatever its name is.
pub(super) fn absent(profile: &Profile) -> Vec<(&'static str, &'static str)> {
    let claims = &profile.software_statement.claims;
    let mut absent = Vec::new();
    let mut unless = |has: bool, why: &'static str, reasons: &[&'static str]| {
        if !has {
            absent.extend(reasons.iter().map(|reason| (*reason, why)));
        }
    };
    unless(
        !profile.client_metadata.danger_redirect_uris_beyond_statement,
        "redirect URIs beyond the statement are registered",
        &["redirect_uri_not_in_statement"],
    );
    unless(
        profile.software_statement.max_age.is_some(),
        "statements do not age; journeys has a gateway where they do",
        &["statement_too_old"],
    );
    unless(
        claims.organisation_status.is_some(),
        "statements do not tell the organisation's status",
        &["organisation_not_active"],
    );
    unless(
        claims.authority_claims.is_some(),
        "statements do not tell the competent authority's claims",
        &["authority_claims_not_active"],
    );
    unless(
        binds_certificates(profile),
        "no name in a certificate says whose it is",
        &[
            "transport_certificate_of_another",
            "organisation_certificate_of_another",
            "assertion_over_foreign_certificate",
            "certificate_of_another_client",
        ],
    );
    unless(
        allows(profile, TLS_CLIENT_AUTH),
        "nobody authenticates by tls_client_auth",
        &["subject_dn_not_of_certificate", "dn_malformed", "certificate_subject", "certificate_of_another_client"],
    );
    unless(
        profile.client_metadata.subject_changes_over_old_certificate,
        "any certificate of the client manages its registration",
        &["certificate_subject_not_registered"],
    );
    unless(
        allows(profile, PRIVATE_KEY_JWT),
        "nobody authenticates by private_key_jwt",
        &[
            "client_assertion_type",
            "client_id_differs",
            "assertion_subject",
            "assertion_audience",
            "assertion_exp",
            "assertion_dates",
            "assertion_jti",
            "assertion_replayed",
            "assertion_signature",
            "assertion_alg",
            "assertion_client_unknown",
            "assertion_over_foreign_certificate",
        ],
    );
    unless(profile.signing_algorithms.len() > 1, "there is one signing algorithm only", &["assertion_alg"]);
    unless(
        profile.access_token.management_scope.is_some(),
        "every token of the client manages its registration",
        &["scope_insufficient"],
    );
    let order = |reason: &str| RULES.iter().position(|rule| rule.reason == reason);
    absent.sort_by_key(|(reason, _)| order(reason));
    absent.dedup_by_key(|(reason, _)| *reason);
    absent
}

/// Whether names in a transport certificate say whose it is.
pub(super) fn binds_certificates(profile: &Profile) -> bool {
    !profile.software_statement.certificate_forms.is_empty()
}
