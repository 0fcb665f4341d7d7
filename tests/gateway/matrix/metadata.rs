//! MD and DN: the client metadata, but for redirect URIs.

use dcr_cli::mint::Token;
use dcr_gate::policy::dialect::ScopesFrom;
use dcr_gate::policy::profile::Profile;
use serde_json::{Value, json};

use super::dialect::{
    CIBA, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows, by_certificate, by_subject, grants, scopes, scopes_around,
};
use super::{Case, Scene};
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
    cases.extend(ciba(profile));
    cases
}

fn authentication(profile: &Profile) -> Vec<Case> {
    let signs = allows(profile, PRIVATE_KEY_JWT);
    let mut cases = vec![
        broken("missing", "auth_method", |token| token.without("token_endpoint_auth_method")),
        broken("no signing alg", "auth_signing_alg", |token| token.without("token_endpoint_auth_signing_alg"))
            .accepted_where(!signs, 201),
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
    let member = profile.client_metadata.subject_members[0].name();
    let claiming_own = move |token: Token| token.claim(member, own_dn());
    let mut cases = vec![broken("a DN and a SAN", "subject_identifiers", move |token| {
        claiming_own(token).claim("tls_client_auth_san_dns", "a.example")
    })];
    if allows(profile, PRIVATE_KEY_JWT) {
        cases.push(broken("private_key_jwt with a DN", "subject_dn", claiming_own));
    }
    if allows(profile, TLS_CLIENT_AUTH) {
        cases.extend(names(profile));
    }
    cases
}

/// What `tls_client_auth` takes for the certificate's name.
fn names(profile: &Profile) -> Vec<Case> {
    let rules = &profile.client_metadata;
    let (longest, prefix) = (rules.subject_dn_max_chars, rules.subject_dn_prefix.clone());
    let (member, has_prefix) = (rules.subject_members[0].name(), !prefix.is_empty());
    let other_member = if member == "tls_client_auth_dn" { "tls_client_auth_subject_dn" } else { "tls_client_auth_dn" };
    let named = |name: String| {
        let by_subject = by_subject(profile);
        move |token: Token| by_subject(token, &name)
    };
    let by_own = by_certificate(profile);
    let by_other_member = by_certificate(profile);
    vec![
        broken("tls_client_auth without a DN", "subject_dn", move |token| by_own(token).without(member)),
        broken("the DN in another member", "subject_dn", move |token| {
            by_other_member(token).without(member).claim(other_member, own_dn())
        }),
        // White space between names means nothing, so that only the length is wrong.
        broken("a DN that is too long", "subject_dn", named(padded(&own_dn(), longest + 1))),
        accepted("a DN as long as it may be", named(padded(&own_dn(), longest))),
        broken("another's DN", "subject_dn_not_of_certificate", named(PKI.other_tpp.transport.subject_dn().unwrap())),
        broken("no DN at all", "dn_malformed", named(format!("{prefix}x,no name"))),
        broken("another spelling of CN", "subject_dn", named(own_dn().replace("CN=", "2.5.4.3=")))
            .accepted_where(!has_prefix, 201),
        accepted("another spelling of O", named(own_dn().replace("O=OpenBanking", "o = openbanking"))),
    ]
}

fn grant_types(profile: &Profile) -> Vec<Case> {
    let mut cases = vec![
        broken("no grant", "grant_types", |token| token.claim("grant_types", json!([]))),
        broken("grant_types is a string", "metadata_type", |token| token.claim("grant_types", "client_credentials")),
    ];
    // The ciba grant brings members of its own, see there.
    for grant in ["implicit", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
        cases.push(
            broken(grant, "grant_types", move |token| {
                token.claim("grant_types", json!(["authorization_code", "client_credentials", grant]))
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
    ];
    for given in ["code", "code id_token", "id_token code", "token", "code token"] {
        let allowed = known.iter().any(|known| sorted(known) == sorted(given));
        cases.push(
            broken(given, "response_types", move |token| token.claim("response_types", json!([given])))
                .accepted_where(allowed, 201),
        );
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
        accepted("no scope", |token| token.without("scope")),
        accepted("all it may", of(allowed.join(" "))),
        accepted("as long as it may be", of(fitting)),
    ]
}

/// What the statement allows and this ecosystem does not know is left out, not refused.
fn scope_of_the_statement(profile: &Profile) -> Vec<Case> {
    let claim = profile.software_statement.claims.scope.clone();
    let of_statement = claim.filter(|_| profile.software_statement.scopes_from == ScopesFrom::Statement).map(|claim| {
        let scope = format!("{} unheard:of", scopes(profile).0.join(" "));
        move |scene: &Scene| scene.statement().claim(&claim, scope.as_str()).sign(&PKI.directory).unwrap()
    });
    let Some(statement) = of_statement else { return Vec::new() };
    let known = statement.clone();
    vec![
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
                .accepted_where(!required, 201),
        );
        for alg in ["RS256", "none", "EdDSA"] {
            let change = move |token: Token| token.claim(member, alg);
            let is_allowed = profile.signing_algorithms.iter().any(|allowed| allowed.name() == alg);
            cases.push(
                broken(format!("{member} is {alg}"), "signing_alg_metadata", change).accepted_where(is_allowed, 201),
            );
        }
        for alg in &profile.signing_algorithms {
            let alg = alg.name();
            cases.push(accepted(format!("{member} is {alg}"), move |token| token.claim(member, alg)));
        }
    }
    cases.extend([
        broken("enc without alg", "encryption_metadata", |token| {
            token.claim("id_token_encrypted_response_enc", "A256GCM")
        }),
        broken("RSA1_5", "encryption_metadata", |token| token.claim("id_token_encrypted_response_alg", "RSA1_5")),
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

fn ciba(profile: &Profile) -> Vec<Case> {
    let poll = |token: Token| {
        token
            .claim("grant_types", json!(["authorization_code", "client_credentials", CIBA]))
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

/// The third party's distinguished name, as its certificate has it.
fn own_dn() -> String {
    PKI.tpp.transport.subject_dn().unwrap()
}

/// The distinguished name with white space after its first comma, this many characters long.
fn padded(dn: &str, length: usize) -> String {
    let (first, rest) = dn.split_once(',').unwrap();
    format!("{first},{}{rest}", " ".repeat(length - dn.len()))
}

fn sorted(words: &str) -> Vec<&str> {
    let mut words: Vec<&str> = words.split(' ').collect();
    words.sort_unstable();
    words
}
