//! SS and CB: the software statement, and the transport certificates that belong to it.

use dcr_cli::mint::{self, Token};
use dcr_cli::pki::TransportShape;
use dcr_cli::software::Software;
use dcr_policy::dialect::{CertificateForm, Id, RolesShape};
use dcr_policy::profile::Profile;
use serde_json::{Value, json};

use super::dialect::{Dialect, brazilian, brcac, scopes_of};
use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

const STATEMENT: &str = "invalid_software_statement";
const METADATA: &str = "invalid_client_metadata";
const UNAPPROVED: &str = "unapproved_software_statement";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = whole(profile);
    cases.extend(claims(profile));
    cases.extend(active_roles(profile));
    cases.extend(dates(profile));
    cases.extend(organisation(profile));
    if profile.software_statement.binds_certificates() {
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
        broken("an unknown issuer", "statement_issuer", UNAPPROVED, |token| token.claim("iss", "Open Banking")),
        broken("no issuer", "statement_issuer", UNAPPROVED, |token| token.without("iss")),
    ]
}

fn claims(profile: &Profile) -> Vec<Case> {
    let rules = &profile.software_statement;
    let names = rules.claims.clone();
    // Without an issuer, the rules of the statement are unknown.
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
        Case::accepted("software_version as a number", 201, |scene| {
            scene.post_statement(&scene.statement().claim("software_version", 1.5).sign(&PKI.directory).unwrap())
        }),
        Case::accepted("software_version as a string", 201, |scene| {
            scene.post_statement(&scene.statement().claim("software_version", "1.5").sign(&PKI.directory).unwrap())
        }),
    ]);
    cases
}

/// A role with a status gives its scopes only if it is active.
fn active_roles(profile: &Profile) -> Vec<Case> {
    let rules = &profile.software_statement;
    if rules.roles_shape != RolesShape::Objects {
        return Vec::new();
    }
    let claim = rules.claims.roles.clone();
    let dialect = Dialect::of(profile.clone()).unwrap();
    let roles = dialect.software(&PKI.tpp).roles.iter().enumerate();
    let roles: Vec<Value> =
        roles.map(|(i, role)| json!({ "role": role, "authorisation_domain": "Open Banking", "status": if i == 0 { "Active" } else { "Inactive" } })).collect();
    let of_these = move |statement: Token| statement.claim(&claim, roles.clone());
    let sample = of_these(dialect.statement(dialect.software(&PKI.tpp), "https://directory.example"));
    let (allowed, beyond) = scopes_of(profile, &sample);
    let asking = of_these.clone();
    vec![
        Case::accepted("one role active, another not", 201, move |scene| {
            scene.post_statement(&of_these(scene.statement()).sign(&PKI.directory).unwrap())
        })
        .answering("scope", allowed.join(" ")),
        Case::refused("a scope of an inactive role", ("scope_beyond_roles", 400, METADATA), move |scene| {
            let statement = asking(scene.statement()).sign(&PKI.directory).unwrap();
            scene.post_request(&scene.request_with(&statement).claim("scope", beyond.as_str()))
        }),
    ]
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
    if profile.software_statement.single_use {
        let refused = ("statement_replayed", 400, STATEMENT);
        cases.push(Case::refused("used before", refused, |scene| scene.post_statement(&scene.used_statement)));
    }
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
    let forms = &profile.software_statement.certificate_forms;
    let mut cases = Vec::new();
    if let Some(form) = forms.iter().find(|form| carries(form, Id::Software)) {
        let of_organisation = form.organisation_rule.unwrap_or(form.rule).row().reason;
        let ids = &profile.software_statement.claims;
        cases.extend([
            Case::refused("another third party's certificate", (form.rule.row().reason, 400, STATEMENT), by_other),
            claiming("another organisation", of_organisation, STATEMENT, &ids.organisation_id, "0015800001HQQrZAAX"),
            Case::accepted("another certificate of its own", 201, |scene| by_spare(scene, &scene.statement())),
        ]);
    }
    if let Some(form) = forms.iter().find(|form| form.issued_before.is_some()) {
        let until_2022 = TransportShape::BrcacUntil2022;
        let old = PKI.tpp_ca.issue_transport(&brazilian(), until_2022).unwrap();
        cases.push(Case::accepted("an old certificate", 201, move |scene| {
            scene.post_by(&scene.client(&old), scene.body(&scene.request()))
        }));
        let late = PKI.tpp_ca.issue_client(until_2022.subject(&brazilian()).unwrap()).unwrap();
        let sibling = brcac(Software { software_id: uuid::Uuid::new_v4().to_string(), ..brazilian() });
        let certificates = [
            ("a certificate of a form that is no longer issued", late),
            ("the certificate of another software of the organisation", sibling),
        ];
        cases.extend(certificates.map(|(name, identity)| {
            Case::refused(name, (form.rule.row().reason, 400, STATEMENT), move |scene| {
                scene.post_by(&scene.client(&identity), scene.body(&scene.request()))
            })
        }));
    }
    if let Some(form) = forms.iter().find(|form| carries(form, Id::Registration)) {
        cases.extend(of_organisation(profile, form.rule.row().reason));
    }
    cases
}

/// Certificates that name the organisation's registration with an authority, and no software.
fn of_organisation(profile: &Profile, reason: &'static str) -> Vec<Case> {
    let claim = profile.software_statement.claims.authority_claims.clone().unwrap();
    let (other, none, array) = (claim.clone(), claim.clone(), claim);
    let refused = (reason, 400, STATEMENT);
    vec![
        Case::refused("registration_id is not the OBWAC's", refused, move |scene| {
            let claims = json!({ "status": "Active", "registration_id": "another" });
            by_spare(scene, &scene.statement().claim(&other, claims))
        }),
        Case::refused("an OBWAC and no registration_id", refused, move |scene| {
            by_spare(scene, &scene.statement().without(&none))
        }),
        Case::accepted("authority claims as an array", 201, move |scene| {
            let claims = json!([{ "status": "Active", "registration_id": PKI.tpp.software.registration_id }]);
            by_spare(scene, &scene.statement().claim(&array, claims))
        }),
    ]
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

/// A statement with another value for this claim.
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
    scene.post_by(&scene.other, scene.body(&request))
}

fn by_spare(scene: &Scene, statement: &Token) -> Shot {
    let request = scene.over(&PKI.tpp.obwac, scene.request_with(&statement.sign(&PKI.directory).unwrap()));
    scene.post_by(&scene.spare, scene.body(&request))
}

/// Whether certificates of this form contain this id of the statement.
fn carries(form: &CertificateForm, id: Id) -> bool {
    form.subject.iter().any(|(_, template)| template.id() == Some(id))
}
