//! Discovery (RFC 8414, OpenID Connect Discovery): the public metadata of this authorization server.

use serde_json::{Map, Value, json};

use super::{Answer, Decision};
use crate::config::Config;

pub(super) fn discovery(config: &Config) -> Decision {
    Decision::allow(Answer::metadata(&Value::Object(metadata(config))))
}

fn metadata(config: &Config) -> Map<String, Value> {
    let rules = &config.settings.profile.client_metadata;
    let algorithms: Vec<&str> =
        config.settings.profile.signing_algorithms.iter().flat_map(|algorithm| algorithm.names()).copied().collect();
    let scopes = config.settings.directories.iter().flat_map(|directory| {
        let dialect = &directory.dialect;
        dialect.universal_scopes.iter().chain(dialect.role_scopes.values().flatten())
    });
    let mut supported: Vec<&String> = Vec::new();
    for scope in scopes {
        if !supported.contains(&scope) {
            supported.push(scope);
        }
    }
    let (token, registration) = (config.token_endpoint(), config.registration_endpoint());
    let own = json!({
        "issuer": config.issuer.as_str(),
        "token_endpoint": token,
        "registration_endpoint": registration,
        "token_endpoint_auth_methods_supported": rules.token_endpoint_auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "request_object_signing_alg_values_supported": algorithms,
        "id_token_signing_alg_values_supported": algorithms,
        "response_types_supported": rules.response_types,
        "grant_types_supported": rules.grant_types,
        "scopes_supported": supported,
        "subject_types_supported": rules.subject_types,
        "tls_client_certificate_bound_access_tokens": true,
        "mtls_endpoint_aliases": { "token_endpoint": token, "registration_endpoint": registration },
    });
    let mut members = match own {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    // Only an ecosystem with signed authorization responses (JARM) has this member.
    if rules.required_signing_algs.iter().any(|member| member == "authorization_signed_response_alg") {
        members.insert("authorization_signing_alg_values_supported".to_owned(), json!(algorithms));
    }
    members.extend(config.discovery.clone());
    members
}
