//! The measured listeners. Each is the one in `envoy.yaml`, with the same TLS, limits and access log, but with another filter in place of
//! dcr-gate.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dcr_dev::envoy::EnvoyConfiguration;
use dcr_dev::{Error, Gateway};
use serde_json::{Value, json};

use crate::authorizer::INSTEAD_OF_200;

/// A listener, named by its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Listener {
    /// No filter. Envoy itself answers.
    NoFilter,
    /// A WebAssembly filter that does nothing. Then Envoy itself answers.
    NoopWasm,
    /// Envoy's `jwt_authn`. Then Envoy itself answers.
    JwtAuthn,
    /// `ext_authz`, which calls the native build of the same policy.
    ExtAuthz,
    /// No filter. node-oidc-provider is the upstream.
    OidcProvider,
    /// dcr-gate.
    Gateway,
}

/// The other modules and services of the same Envoy.
#[derive(Clone)]
pub(crate) struct Beside {
    /// `dcr_bench_noop.wasm`.
    pub(crate) noop: PathBuf,
    /// The key set that `jwt_authn` verifies with.
    pub(crate) key_set: Value,
    /// The port of the ext_authz service.
    pub(crate) authorizer: u16,
    /// The port of node-oidc-provider.
    pub(crate) oidc_provider: u16,
}

/// A path that does not belong to the gateway's endpoints.
pub(crate) const OTHER_PATH: &str = "/open-banking/v3.1/aisp/accounts";

/// The routes of a connection manager.
const ROUTES: &str = "/route_config/virtual_hosts/0/routes";

const ADDED: [Listener; 5] =
    [Listener::NoFilter, Listener::NoopWasm, Listener::JwtAuthn, Listener::ExtAuthz, Listener::OidcProvider];

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::NoFilter => "no_filter",
            Self::NoopWasm => "noop_wasm",
            Self::JwtAuthn => "jwt_authn",
            Self::ExtAuthz => "ext_authz",
            Self::OidcProvider => "oidc_provider",
            Self::Gateway => "gateway",
        }
    }

    fn filter(self, beside: &Beside) -> Option<Value> {
        match self {
            Self::NoopWasm => Some(wasm("noop", &beside.noop, "")),
            Self::JwtAuthn => Some(jwt_authn(&beside.key_set)),
            Self::ExtAuthz => Some(ext_authz(beside.authorizer)),
            Self::NoFilter | Self::OidcProvider | Self::Gateway => None,
        }
    }
}

/// Adds all listeners.
pub(crate) fn add_all(envoy: &mut EnvoyConfiguration, beside: &Beside) -> Result<(), Error> {
    spread_evenly(envoy)?;
    let shipped = envoy.listener("gateway")?.clone();
    let added: Vec<Value> = ADDED.iter().map(|listener| variant(&shipped, *listener, beside)).collect();
    append(envoy, "/static_resources/listeners", added)?;
    answer_other_path(envoy)?;
    let clusters = [("ext_authz", beside.authorizer), ("oidc_provider", beside.oidc_provider)];
    append(envoy, "/static_resources/clusters", clusters.map(|(name, port)| cluster(name, port)).into())
}

/// Makes Envoy itself answer the upstream's path behind dcr-gate, as it does behind the other filters.
fn answer_other_path(envoy: &mut EnvoyConfiguration) -> Result<(), Error> {
    let routes = envoy.connection_manager("gateway")?.pointer_mut(ROUTES).and_then(Value::as_array_mut);
    let routes = routes.ok_or_else(|| Error::Configuration("the gateway has no routes".into()))?;
    let mut answered = answered_by_envoy();
    merge(&mut answered, json!({ "match": { "prefix": OTHER_PATH } }));
    routes.insert(0, answered);
    Ok(())
}

/// Gives all of Envoy's workers the same number of connections. Otherwise some rounds would be slower than others by chance.
pub(crate) fn spread_evenly(envoy: &mut EnvoyConfiguration) -> Result<(), Error> {
    merge(envoy.listener("gateway")?, json!({ "connection_balance_config": { "exact_balance": {} } }));
    Ok(())
}

/// Removes dcr-gate from the shipped listener. Envoy itself answers.
pub(crate) fn without_filter(envoy: &mut EnvoyConfiguration) -> Result<(), Error> {
    let manager = envoy.connection_manager("gateway")?;
    merge(manager, json!({ "http_filters": [router()] }));
    set(manager, ROUTES, json!([answered_by_envoy()]))
}

/// The ports of all listeners, from Envoy's admin page.
pub(crate) async fn ports(gateway: &Gateway) -> Result<HashMap<Listener, u16>, crate::error::Error> {
    let listening = gateway.admin("/listeners?format=json").await?.json();
    let entries = listening.get("listener_statuses").and_then(Value::as_array);
    let port = |listener: &Listener| {
        let named = |entry: &&Value| entry.get("name").is_some_and(|name| name == listener.name());
        let entry = entries?.iter().find(named)?;
        let port = entry.pointer("/local_address/socket_address/port_value")?.as_u64()?;
        Some((*listener, u16::try_from(port).ok()?))
    };
    let all = ADDED.iter().chain([&Listener::Gateway]).map(port);
    Ok(all.collect::<Option<_>>().ok_or("Envoy does not tell where it listens")?)
}

fn variant(shipped: &Value, listener: Listener, beside: &Beside) -> Value {
    let mut variant = shipped.clone();
    let filters: Vec<Value> = listener.filter(beside).into_iter().chain([router()]).collect();
    let route = match listener {
        Listener::OidcProvider => json!({ "match": { "prefix": "/" }, "route": { "cluster": "oidc_provider" } }),
        _ => answered_by_envoy(),
    };
    merge(&mut variant, json!({ "name": listener.name() }));
    if let Some(port) = variant.pointer_mut("/address/socket_address/port_value") {
        *port = 0.into();
    }
    if let Some(manager) = variant.pointer_mut("/filter_chains/0/filters/0/typed_config") {
        merge(manager, json!({ "stat_prefix": listener.name(), "http_filters": filters }));
        if let Some(routes) = manager.pointer_mut(ROUTES) {
            *routes = json!([route]);
        }
        if listener == Listener::ExtAuthz {
            merge(manager, json!({ "local_reply_config": { "mappers": [twohundred_again()] } }));
        }
    }
    variant
}

/// A route without an upstream. Its body is as long as the answer with a token.
fn answered_by_envoy() -> Value {
    let body = json!({ "access_token": "-".repeat(43), "token_type": "Bearer", "expires_in": 600, "scope": "openid accounts payments" });
    json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200, "body": { "inline_string": body.to_string() } } })
}

/// The last filter of a chain.
pub(crate) fn router() -> Value {
    let typed = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    json!({ "name": "envoy.filters.http.router", "typed_config": { "@type": typed } })
}

/// A WebAssembly filter in its own VM, with a text as its configuration.
pub(crate) fn wasm(name: &str, file: &Path, configuration: &str) -> Value {
    let typed = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    json!({ "name": name, "typed_config": { "@type": typed, "config": {
        "name": name,
        "root_id": name,
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": file.display().to_string() } }
        },
        "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration }
    } } })
}

/// `jwt_authn` checks the audience. It accepts any issuer, because a client is its own issuer.
fn jwt_authn(key_set: &Value) -> Value {
    let typed = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
    json!({ "name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": typed,
        "providers": { "clients": {
            "audiences": ["https://jwt-authn.example"],
            "local_jwks": { "inline_string": key_set.to_string() }
        } },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "clients" } }]
    } })
}

fn ext_authz(port: u16) -> Value {
    let typed = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
    let headers = ["content-type", "authorization", "x-forwarded-client-cert", "x-request-id"];
    json!({ "name": "envoy.filters.http.ext_authz", "typed_config": {
        "@type": typed,
        "transport_api_version": "V3",
        "with_request_body": { "max_request_bytes": 65536 },
        "allowed_headers": { "patterns": headers.map(|name| json!({ "exact": name })) },
        "http_service": {
            "server_uri": { "uri": format!("http://127.0.0.1:{port}"), "cluster": "ext_authz", "timeout": "5s" }
        }
    } })
}

fn twohundred_again() -> Value {
    let value = json!({ "default_value": INSTEAD_OF_200, "runtime_key": "bench.instead_of_200" });
    json!({ "filter": { "status_code_filter": { "comparison": { "op": "EQ", "value": value } } }, "status_code": 200 })
}

fn cluster(name: &str, port: u16) -> Value {
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }]
        }
    })
}

fn append(envoy: &mut EnvoyConfiguration, pointer: &str, added: Vec<Value>) -> Result<(), Error> {
    let array = envoy.document.pointer_mut(pointer).and_then(Value::as_array_mut);
    array.ok_or_else(|| Error::Configuration(format!("nothing at {pointer}")))?.extend(added);
    Ok(())
}

fn set(document: &mut Value, pointer: &str, value: Value) -> Result<(), Error> {
    *document.pointer_mut(pointer).ok_or_else(|| Error::Configuration(format!("nothing at {pointer}")))? = value;
    Ok(())
}

fn merge(target: &mut Value, patch: Value) {
    dcr_dev::envoy::merge(target, &patch);
}
