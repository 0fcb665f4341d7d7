//! SS and CB: the software statement, and whose transport certificate it goes with.

use dcr_cli::mint::{self, Token};
use dcr_gate::policy::dialect::RolesShape;
use dcr_gate::policy::profile::Profile;
use serde_json::{Value, json};

use super::coverage::binds_certificates;
use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

const STATEMENT: &str = "invalid_software_statement";
const UNAPPROVED: &str = "unapproved_software_statement";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = whole(profile);
    cases.extend(claims(profile));
    cases.extend(dates(profile));
    cases.extend(organisation(profile));
    if binds_certificates(profile) {
        cases.extend(certificates(profile));
    } else {
        cases.push(Case::accepted("another certificate of the authority", 201, by_other));
    }
    cases
}

fn whole(profile: &Profile) -> Vec<Case> {
    let roles = profile.software_statement.claims.roles.clone();
    vec![
        Case::refused("no statement", ("statement_missing", 400, "invalid_client_metadata"), |scene| {
            scene.post_request(&scene.request().without("software_statement"))
        }),
        Case::refused(
            "a statement that is an object",
            ("statement_missing", 400, "invalid_client_metadata"),
            |scene| scene.post_request(&scene.request().claim("software_statement", json!({}))),
        ),
        Case::refused("signed by the third party itself", ("statement_signature", 400, STATEMENT), |scene| {
            let key = renamed(&PKI.tpp.signing, PKI.directory.kid());
            scene.post_statement(&scene.statement().sign(&key).unwrap())
        }),
        Case::refused("a claim changed after signing", ("statement_signature", 400, STATEMENT), move |scene| {
            let honest = scene.statement().sign(&PKI.directory).unwrap();
            let forged = scene.statement().claim(&roles, json!(["all of them"])).sign(&PKI.directory).unwrap();
            let (head, signature) = (forged.rsplit_once('.').unwrap().0, honest.rsplit_once('.').unwrap().1);
            scene.post_statement(&format!("{head}.{signature}"))
        }),
        broken("an issuer nobody trusts", "statement_issuer", UNAPPROVED, |token| token.claim("iss", "Open Banking")),
        broken("no issuer", "statement_issuer", UNAPPROVED, |token| token.without("iss")),
    ]
}

fn claims(profile: &Profile) -> Vec<Case> {
    let rules = &profile.software_statement;
    let names = rules.claims.clone();
    // Without an issuer nobody knows whose rules these are.
    let required = rules.required_claims.iter().filter(|name| *name != "iss").cloned();
    let mut cases: Vec<Case> = required
        .map(|name| {
            broken(format!("no {name}"), "statement_claim_missing", STATEMENT, move |token| token.without(&name))
        })
        .collect();
    let key_set = names.key_set_uris[0].clone();
    let other_shape = match rules.roles_shape {
        RolesShape::Array => json!(PKI.tpp.software.roles[0]),
        RolesShape::String | RolesShape::Objects => json!(PKI.tpp.software.roles),
    };
    let no_role = match rules.roles_shape {
        RolesShape::Array => json!([]),
        RolesShape::String => json!(""),
        RolesShape::Objects => json!([{ "role": "DADOS", "status": "Inactive" }]),
    };
    cases.extend([
        claiming("the organisation's id is a number", "statement_claim_missing", STATEMENT, &names.organisation_id, 7),
        claiming(
            "redirect URIs are a string",
            "statement_claim_missing",
            STATEMENT,
            &names.redirect_uris,
            "https://harbour.example/callback",
        ),
        claiming("no role", "software_roles_missing", STATEMENT, &names.roles, no_role),
        claiming("roles in another shape", "software_roles_missing", STATEMENT, &names.roles, other_shape),
        claiming("keys on another host", "key_set_location", STATEMENT, &key_set, "https://thief.example/keys.jwks"),
        claiming("keys over http", "key_set_location", STATEMENT, &key_set, "http://localhost/keys.jwks"),
        Case::accepted("software_version as a string", 201, |scene| {
            scene.post_statement(&scene.statement().claim("software_version", "1.5").sign(&PKI.directory).unwrap())
        }),
    ]);
    cases
}

fn dates(profile: &Profile) -> Vec<Case> {
    let skew = profile.clock_skew.as_secs();
    let mut cases = vec![
        broken("expired", "statement_expired", STATEMENT, |token| token.claim("exp", mint::now() - 1)),
        broken("issued in the future", "statement_from_the_future", STATEMENT, move |token| {
            token.claim("iat", mint::now() + skew + 30)
        }),
        Case::accepted("issued ten seconds in the future", 201, |scene| {
            scene.post_statement(&scene.statement().claim("iat", mint::now() + 10).sign(&PKI.directory).unwrap())
        }),
    ];
    if let Some(max_age) = profile.software_statement.max_age.map(|age| age.as_secs()) {
        cases.push(broken("issued too long ago", "statement_too_old", STATEMENT, move |token| {
            token.claim("iat", mint::now() - max_age - 2)
        }));
        cases.push(Case::accepted("as old as it may be", 201, move |scene| {
            let statement = scene.statement().claim("iat", mint::now() - max_age + 10);
            scene.post_statement(&statement.sign(&PKI.directory).unwrap())
        }));
    }
    cases
}

fn organisation(profile: &Profile) -> Vec<Case> {
    let names = &profile.software_statement.claims;
    let mut cases = Vec::new();
    if let Some(status) = &names.organisation_status {
        for value in [json!("Revoked"), json!("Withdrawn"), Value::Null] {
            let name = format!("an organisation that is {value}");
            cases.push(claiming(name, "organisation_not_active", UNAPPROVED, status, value));
        }
    }
    if let Some(claims) = &names.authority_claims {
        let revoked = json!({ "status": "Revoked" });
        cases.push(claiming("authority claims not active", "authority_claims_not_active", UNAPPROVED, claims, revoked));
    }
    cases
}

fn certificates(profile: &Profile) -> Vec<Case> {
    let names = profile.software_statement.claims.clone();
    let mut cases = vec![
        Case::refused(
            "another third party's certificate",
            ("transport_certificate_of_another", 400, STATEMENT),
            by_other,
        ),
        claiming(
            "the organisation's id is not the certificate's OU",
            "transport_certificate_of_another",
            STATEMENT,
            &names.organisation_id,
            "0015800001HQQrZAAX",
        ),
    ];
    let refused = ("organisation_certificate_of_another", 400, STATEMENT);
    match names.authority_claims {
        Some(claim) => {
            let (other, none, array) = (claim.clone(), claim.clone(), claim);
            cases.push(Case::accepted("an OBWAC", 201, |scene| by_obwac(scene, &scene.statement())));
            cases.push(Case::refused("registration_id is not the OBWAC's", refused, move |scene| {
                let claims = json!({ "status": "Active", "registration_id": "another" });
                by_obwac(scene, &scene.statement().claim(&other, claims))
            }));
            cases.push(Case::refused("an OBWAC and no registration_id", refused, move |scene| {
                by_obwac(scene, &scene.statement().without(&none))
            }));
            cases.push(Case::accepted("authority claims as an array", 201, move |scene| {
                let claims = json!([{ "status": "Active", "registration_id": PKI.tpp.software.registration_id }]);
                by_obwac(scene, &scene.statement().claim(&array, claims))
            }));
        }
        None => cases.push(Case::refused("an OBWAC", refused, |scene| by_obwac(scene, &scene.statement()))),
    }
    cases
}

fn broken(
    name: impl Into<String>,
    reason: &'static str,
    error: &'static str,
    change: impl Fn(Token) -> Token + 'static,
) -> Case {
    Case::refused(name, (reason, 400, error), move |scene| {
        scene.post_statement(&change(scene.statement()).sign(&PKI.directory).unwrap())
    })
}

/// A statement whose claim says this instead.
fn claiming(
    name: impl Into<String>,
    reason: &'static str,
    error: &'static str,
    claim: &str,
    value: impl Into<Value>,
) -> Case {
    let (claim, value) = (claim.to_owned(), value.into());
    broken(name, reason, error, move |token| token.claim(&claim, value.clone()))
}

fn by_other(scene: &Scene) -> Shot {
    let request = scene.over(&PKI.other_tpp.transport, scene.request());
    scene.post_by(&scene.other, request.sign(&PKI.tpp.signing).unwrap())
}

fn by_obwac(scene: &Scene, statement: &Token) -> Shot {
    let request = scene.over(&PKI.tpp.obwac, scene.request_with(&statement.sign(&PKI.directory).unwrap()));
    scene.post_by(&scene.obwac, request.sign(&PKI.tpp.signing).unwrap())
}
