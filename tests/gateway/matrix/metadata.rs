//! MD and DN: the client metadata, except redirect URIs.

use dcr_cli::mint::Token;
use dcr_policy::dialect::ScopesFrom;
use dcr_policy::profile::{Profile, SubjectMember};
use serde_json::{Value, json};

use super::dialect::{
    ALTERNATIVE_NAMES, CIBA, Dialect, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows, by_certificate, by_subject, grants,
    own_dn, scopes, scopes_around,
};
use super::{Case, Scene, Shot};
use crate::PKI;

const METADATA: &str = "invalid_client_metadata";

/// Members that name a signing algorithm.
const SIGNING_ALGS: [&str; 3] =
    ["id_token_signed_response_alg", "request_object_signing_alg", "authorization_signed_response_alg"];

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = authentication(profile);
    cases.extend(subjects(profile));
    cases.extend(grant_types(profile));
    cases.extend(response_types(profile));
    cases.extend(scope(profile));
    cases.extend(scope_of_the_statement(profile));
    cases.extend(application_types(profile));
    cases.extend(algorithms(profile));
    cases.extend(others());
    cases.extend(further(profile));
    cases.extend(webhooks(profile));
    cases.extend(ciba(profile));
    cases
}

fn authentication(profile: &Profile) -> Vec<Case> {
    let (signs, rules) = (allows(profile, PRIVATE_KEY_JWT), &profile.client_metadata);
    let mut cases = vec![
        broken("missing", "auth_method", |token| token.without("token_endpoint_auth_method"))
            .accepted_where(rules.default_token_endpoint_auth_method.is_some(), 201),
        broken("no signing alg", "auth_signing_alg", |token| token.without("token_endpoint_auth_signing_alg"))
            .accepted_where(!signs || !rules.token_endpoint_auth_signing_alg_required, 201),
        broken("RS256", "auth_signing_alg", |token| token.claim("token_endpoint_auth_signing_alg", "RS256")),
    ];
    for method in ["none", "client_secret_basic", "client_secret_jwt", "self_signed_tls_client_auth"] {
        cases.push(broken(method, "auth_method", move |token| token.claim("token_endpoint_auth_method", method)));
    }
    cases.push(
        broken(TLS_CLIENT_AUTH, "auth_method", by_certificate(profile))
            .accepted_where(allows(profile, TLS_CLIENT_AUTH), 201),
    );
    cases
}

fn subjects(profile: &Profile) -> Vec<Case> {
    let (member, own_dn) = (profile.client_metadata.subject_members[0].name(), own_dn(profile));
    let claiming_own = move |token: Token| token.claim(member, own_dn.as_str());
    let claiming_both = claiming_own.clone();
    let mut cases = vec![broken("a DN and a SAN", "subject_identifiers", move |token| {
        claiming_both(token).claim("tls_client_auth_san_dns", "a.example")
    })];
    if allows(profile, PRIVATE_KEY_JWT) {
        cases.push(broken("private_key_jwt with a DN", "subject_dn", claiming_own));
    }
    if allows(profile, TLS_CLIENT_AUTH) {
        cases.extend(names(profile));
        cases.extend(alternative_names(profile));
    }
    cases
}

/// Alternative names: each that the profile accepts, over a certificate with this name and over one without it.
fn alternative_names(profile: &Profile) -> Vec<Case> {
    let takes = |member: SubjectMember| profile.client_metadata.subject_members.contains(&member);
    let mut cases = Vec::new();
    for member in SubjectMember::ALL.into_iter().filter(|member| !takes(*member)) {
        let by_other_member = by_certificate(profile);
        let own = profile.client_metadata.subject_members[0].name();
        let name = format!("the subject in {}", member.name());
        cases.push(broken(name, "subject_identifier_not_taken", move |token| {
            by_other_member(token).without(own).claim(member.name(), "CN=harbour.example")
        }));
    }
    for (member, name) in ALTERNATIVE_NAMES.into_iter().filter(|(member, _)| takes(*member)) {
        let case_name = format!("another {}", member.name());
        cases.push(Case::refused(case_name, ("subject_dn_not_of_certificate", 400, METADATA), move |scene| {
            let other = name.replace("harbour", "meadow").replace(".7", ".8");
            over_named(scene, &scene.by_alternative_name(member, &other))
        }));
        let case_name = format!("{} over a certificate without it", member.name());
        cases.push(Case::refused(case_name, ("subject_dn_not_of_certificate", 400, METADATA), move |scene| {
            scene.post_request(&scene.by_alternative_name(member, name))
        }));
        // Only DNS names are compared in any letter case. An email address and a URI are compared exactly.
        let case_name = format!("{} in capitals", member.name());
        let capitals = Case::refused(case_name, ("subject_dn_not_of_certificate", 400, METADATA), move |scene| {
            over_named(scene, &scene.by_alternative_name(member, &name.to_uppercase()))
        });
        let is_the_same = matches!(member, SubjectMember::SanDns | SubjectMember::SanIp);
        cases.push(capitals.accepted_where(is_the_same, 201));
    }
    cases
}

fn over_named(scene: &Scene, request: &Token) -> Shot {
    scene.post_by(scene.named.as_ref().unwrap(), scene.body(request))
}

/// The names that `tls_client_auth` accepts for the certificate.
fn names(profile: &Profile) -> Vec<Case> {
    let rules = &profile.client_metadata;
    let longest = rules.subject_dn_max_chars;
    let member = rules.subject_members[0].name();
    let own = own_dn(profile);
    let reversed = own.split(',').rev().collect::<Vec<_>>().join(",");
    let has_first = rules.subject_dn_first_attribute.is_some();
    let in_order = if has_first { "subject_dn_order" } else { "subject_dn_not_of_certificate" };
    let named = |name: String| {
        let by_subject = by_subject(profile);
        move |token: Token| by_subject(token, &name)
    };
    let by_own = by_certificate(profile);
    let others = Dialect::of(profile.clone()).unwrap().transport(&PKI.other_tpp).subject_dn().unwrap();
    let (_, organisation) = own.split_once(",O=").unwrap();
    let organisation = organisation.split(',').next().unwrap();
    let respelt = own.replace(&format!(",O={organisation}"), &format!(", o = {}", organisation.to_lowercase()));
    vec![
        broken("tls_client_auth without a DN", "subject_dn_missing", move |token| by_own(token).without(member)),
        broken("a DN that is too long", "subject_dn_too_long", named(format!("{own},L={}", "x".repeat(longest)))),
        // White space between names has no meaning, so the name is not longer.
        accepted("a DN in a long spelling", named(padded(&own, longest + 1))),
        broken("another's DN", "subject_dn_not_of_certificate", named(others)),
        broken("no DN at all", "dn_malformed", named("CN=x,no name".to_owned())),
        accepted("another spelling of the first attribute", named(own.replacen("CN=", "2.5.4.3=", 1))),
        broken("a DN in the order of the certificate", in_order, named(reversed)),
        accepted("another spelling of O", named(respelt)),
    ]
}

fn grant_types(profile: &Profile) -> Vec<Case> {
    let mut cases = vec![
        broken("no grant", "grant_types", |token| token.claim("grant_types", json!([]))),
        broken("grant_types is a string", "metadata_type", |token| token.claim("grant_types", "client_credentials")),
    ];
    // The ciba grant needs members of its own. See the cases for it.
    for grant in ["implicit", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
        cases.push(
            broken(grant, "grant_types", move |token| {
                let grants = json!(["authorization_code", "client_credentials", grant]);
                token.claim("grant_types", grants).claim("response_types", json!(["code"]))
            })
            .accepted_where(grants(profile, grant), 201),
        );
    }
    cases
}

fn response_types(profile: &Profile) -> Vec<Case> {
    let known = profile.client_metadata.response_types.clone();
    let good = known[0].clone();
    let mut cases = vec![
        broken("a bad response type among good ones", "response_types", move |token| {
            token.claim("response_types", json!([good, "id_token token"]))
        }),
        broken("code without its grant", "response_type_without_grant", |token| {
            token.claim("grant_types", json!(["client_credentials"]))
        }),
        accepted("no response types", |token| token.without("response_types")),
        Case::accepted("no response types and no grant that has any", 201, |scene| {
            let request = scene.request().claim("grant_types", json!(["client_credentials"]));
            scene.post_request(&request.without("response_types"))
        })
        .answering("response_types", json!([])),
    ];
    for given in ["code", "code id_token", "id_token code", "token", "code token"] {
        let allowed = known.iter().any(|known| sorted(known) == sorted(given));
        cases.push(
            broken(given, "response_types", move |token| token.claim("response_types", json!([given])))
                .accepted_where(allowed, 201),
        );
    }
    if known.iter().any(|known| known.contains("id_token")) {
        let without = broken("an ID token without the grant implicit", "response_type_without_implicit", |token| {
            let grants = json!(["authorization_code", "client_credentials", "refresh_token"]);
            token.claim("grant_types", grants).claim("response_types", json!(["code id_token"]))
        });
        cases.push(without.accepted_where(!profile.client_metadata.id_token_needs_implicit, 201));
    }
    cases
}

fn scope(profile: &Profile) -> Vec<Case> {
    let (allowed, beyond) = scopes(profile);
    let (fitting, too_long) = scopes_around(profile.client_metadata.scope_max_chars, &allowed);
    let of = |scope: String| move |token: Token| token.claim("scope", scope.clone());
    let part = &allowed[allowed.len() - 1];
    let mut shorter = part.clone();
    shorter.pop();
    vec![
        broken("an empty scope", "scope_malformed", of(String::new())),
        broken("two spaces", "scope_malformed", of(allowed.join("  "))),
        broken("a scope that is too long", "scope_malformed", of(too_long)),
        broken("scope is null", "metadata_type", |token| token.claim("scope", Value::Null)),
        broken("beyond what it may", "scope_beyond_roles", of(format!("{} {beyond}", allowed[0]))),
        broken("a word that goes on", "scope_beyond_roles", of(format!("{part}_all"))),
        broken("a part of a word", "scope_beyond_roles", of(shorter)),
        broken("scope is an array", "metadata_type", {
            let allowed = allowed.clone();
            move |token| token.claim("scope", allowed.clone())
        })
        .accepted_where(profile.client_metadata.scope_arrays, 201),
        accepted("no scope", |token| token.without("scope")).answering("scope", allowed.join(" ")),
        accepted("all it may", of(allowed.join(" "))),
        accepted("as long as it may be", of(fitting)),
    ]
}

/// Scopes that the statement allows and the ecosystem does not know are left out and not refused.
fn scope_of_the_statement(profile: &Profile) -> Vec<Case> {
    let claim = profile.software_statement.claims.scope.clone();
    let only = claim.clone().unwrap_or_default();
    let of_statement = claim.filter(|_| profile.software_statement.scopes_from == ScopesFrom::Statement).map(|claim| {
        let scope = format!("{} unheard:of", scopes(profile).0.join(" "));
        move |scene: &Scene| scene.statement().claim(&claim, scope.as_str()).sign(&PKI.directory).unwrap()
    });
    let Some(statement) = of_statement else { return Vec::new() };
    let known = statement.clone();
    vec![
        Case::refused(
            "a statement with unknown scopes only",
            ("scope_of_statement_unknown", 400, METADATA),
            move |scene| {
                let statement = scene.statement().claim(&only, "unheard:of");
                scene.post_statement(&statement.sign(&PKI.directory).unwrap())
            },
        ),
        Case::accepted("a statement with an unknown scope", 201, move |scene| scene.post_statement(&known(scene))),
        Case::refused("an unknown scope of the statement", ("scope_beyond_roles", 400, METADATA), move |scene| {
            scene.post_request(&scene.request_with(&statement(scene)).claim("scope", "unheard:of"))
        }),
    ]
}

fn application_types(profile: &Profile) -> Vec<Case> {
    let rules = &profile.client_metadata;
    let mut cases = vec![
        broken("no application_type", "application_type", |token| token.without("application_type"))
            .accepted_where(!rules.application_type_required, 201),
    ];
    for kind in ["web", "mobile", "native", "desktop"] {
        let allowed = rules.application_types.iter().any(|known| known == kind);
        cases.push(
            broken(kind, "application_type", move |token| token.claim("application_type", kind))
                .accepted_where(allowed, 201),
        );
    }
    cases
}

fn algorithms(profile: &Profile) -> Vec<Case> {
    let mut cases = Vec::new();
    for member in SIGNING_ALGS {
        let required = profile.client_metadata.required_signing_algs.iter().any(|required| required == member);
        cases.push(
            broken(format!("no {member}"), "signing_alg_metadata", move |token| token.without(member))
                .accepted_where(!required || profile.client_metadata.default_signing_algs.get(member).is_some(), 201),
        );
        for alg in ["RS256", "none", "EdDSA"] {
            let change = move |token: Token| token.claim(member, alg);
            let is_allowed = profile.signing_algorithms.iter().any(|allowed| allowed.name() == alg);
            cases.push(
                broken(format!("{member} is {alg}"), "signing_alg_metadata", change).accepted_where(is_allowed, 201),
            );
        }
        for alg in profile.signing_algorithms.iter().flat_map(|alg| alg.names()).copied() {
            cases.push(accepted(format!("{member} is {alg}"), move |token| token.claim(member, alg)));
        }
    }
    cases.extend([
        broken("enc without alg", "encryption_without_alg", |token| {
            token.claim("id_token_encrypted_response_enc", "A256GCM")
        }),
        broken("RSA1_5", "encryption_metadata", |token| token.claim("id_token_encrypted_response_alg", "RSA1_5")),
        broken("an empty alg", "encryption_metadata", |token| token.claim("id_token_encrypted_response_alg", "")),
        broken("an unknown alg", "encryption_metadata", |token| token.claim("id_token_encrypted_response_alg", "dir")),
        accepted("encrypted ID tokens", |token| {
            token
                .claim("id_token_encrypted_response_alg", "RSA-OAEP")
                .claim("id_token_encrypted_response_enc", "A256GCM")
        }),
    ]);
    cases
}

fn others() -> Vec<Case> {
    vec![
        broken("another software_id", "software_id_mismatch", |token| token.claim("software_id", "another")),
        broken("jwks by value", "key_set_in_request", |token| token.claim("jwks", json!({ "keys": [] }))),
        broken("another jwks_uri", "key_set_in_request", |token| token.claim("jwks_uri", "https://thief.example/k")),
        broken("bound tokens as a string", "bound_access_tokens", |token| {
            token.claim("tls_client_certificate_bound_access_tokens", "true")
        }),
    ]
}

/// Members that only some ecosystems register. The others ignore them.
fn further(profile: &Profile) -> Vec<Case> {
    let rules = &profile.client_metadata;
    let has = |member: &str| rules.further_members.iter().any(|known| known == member);
    let mut cases = Vec::new();
    if has("subject_type") {
        cases.push(broken("another subject_type", "subject_type", |token| token.claim("subject_type", "ephemeral")));
        let known = rules.subject_types[0].clone();
        cases.push(Case::accepted("a subject_type", 201, move |scene| {
            scene.post_request(&scene.request().claim("subject_type", known.as_str()))
        }));
    }
    for member in ["authorization_encrypted_response_alg", "request_object_encryption_alg"] {
        cases.push(
            broken(format!("{member} is RSA1_5"), "encryption_metadata", move |token| token.claim(member, "RSA1_5"))
                .accepted_where(!has(member), 201),
        );
        let registered = Case::accepted(format!("{member} is RSA-OAEP"), 201, move |scene| {
            scene.post_request(&scene.request().claim(member, "RSA-OAEP"))
        });
        let answer = if has(member) { json!("RSA-OAEP") } else { Value::Null };
        cases.push(registered.answering(member, answer));
    }
    cases
}

fn webhooks(profile: &Profile) -> Vec<Case> {
    let Some(claim) = profile.software_statement.claims.webhook_uris.clone() else { return Vec::new() };
    let of = move |scene: &Scene, asked_for: Value| {
        let statement = scene.statement().claim(&claim, json!(["https://harbour.example/webhooks"]));
        let statement = statement.sign(&PKI.directory).unwrap();
        scene.post_request(&scene.request_with(&statement).claim("webhook_uris", asked_for))
    };
    let refused = of.clone();
    vec![
        Case::refused("another webhook", ("webhook_uris", 400, "invalid_webhook_uris"), move |scene| {
            refused(scene, json!(["https://thief.example/webhooks"]))
        }),
        Case::accepted("the statement's webhook", 201, move |scene| {
            of(scene, json!(["https://harbour.example/webhooks"]))
        })
        .answering("webhook_uris", json!(["https://harbour.example/webhooks"])),
    ]
}

fn ciba(profile: &Profile) -> Vec<Case> {
    let poll = |token: Token| {
        token
            .claim("grant_types", json!(["authorization_code", "client_credentials", CIBA]))
            .claim("response_types", json!(["code"]))
            .claim("backchannel_token_delivery_mode", "poll")
            .claim("backchannel_authentication_request_signing_alg", "PS256")
    };
    let granted = grants(profile, CIBA);
    let mut cases = vec![
        broken("members without the grant", "ciba_metadata", |token| {
            token.claim("backchannel_token_delivery_mode", "poll")
        }),
        broken("poll", "grant_types", poll).accepted_where(granted, 201),
    ];
    if granted {
        cases.extend([
            broken("push", "ciba_metadata", move |token| poll(token).claim("backchannel_token_delivery_mode", "push")),
            broken("ping without an endpoint", "ciba_metadata", move |token| {
                poll(token).claim("backchannel_token_delivery_mode", "ping")
            }),
            broken("user code", "ciba_metadata", move |token| {
                poll(token).claim("backchannel_user_code_parameter", true)
            }),
            accepted("ping", move |token| {
                poll(token)
                    .claim("backchannel_token_delivery_mode", "ping")
                    .claim("backchannel_client_notification_endpoint", "https://harbour.example/ciba")
            }),
        ]);
    }
    cases
}

fn broken(name: impl Into<String>, reason: &'static str, change: impl Fn(Token) -> Token + 'static) -> Case {
    Case::refused(name, (reason, 400, METADATA), move |scene| scene.post_request(&change(scene.request())))
}

fn accepted(name: impl Into<String>, change: impl Fn(Token) -> Token + 'static) -> Case {
    Case::accepted(name, 201, move |scene| scene.post_request(&change(scene.request())))
}

/// The distinguished name, with white space after its first comma, in total `length` characters long.
fn padded(dn: &str, length: usize) -> String {
    let (first, rest) = dn.split_once(',').unwrap();
    format!("{first},{}{rest}", " ".repeat(length - dn.len()))
}

fn sorted(words: &str) -> Vec<&str> {
    let mut words: Vec<&str> = words.split(' ').collect();
    words.sort_unstable();
    words
}
