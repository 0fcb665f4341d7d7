//! The module: its imports from the host, and the behaviour of Envoy when the module panics.

use std::collections::BTreeSet;
use std::time::Duration;

use dcr_cli::client::{Answer, Tpp};
use dcr_cli::keys::SigningKey;
use dcr_dev::installation::Installation;
use dcr_dev::{Gateway, GatewayBuilder, Store};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use wasmparser::{Parser, Payload};

use super::{NO_TOKEN, PKI, assert_passed, assert_refused_by_envoy, empty_folder, good_request, run, signed, until};

/// A host without one of these imports refuses the module, so a new import must be noticed. Most of them come with the SDK, even if they
/// are not used.
const IMPORTS: [&str; 40] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_close_stream",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_done",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_get_log_level",
    "env.proxy_log",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_effective_context",
    "env.proxy_set_header_map_pairs",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
];

#[test]
fn the_filter_asks_nothing_of_its_host_but_proxy_wasm_and_wasi() {
    let (imports, _) = imports_and_exports();
    let imports: BTreeSet<&str> = imports.iter().map(String::as_str).collect();
    let unheard_of: Vec<_> = imports.difference(&BTreeSet::from(IMPORTS)).copied().collect();
    assert_eq!(unheard_of, [""; 0]);
}

/// The largest size of the shipped module, in bytes. Every VM compiles it, and each worker has a VM.
const MOST_BYTES: u64 = 672 * 1024;

#[test]
fn the_filter_is_small() {
    let size = std::fs::metadata(Installation::find().unwrap().filter).unwrap().len();
    assert!(size <= MOST_BYTES, "{size} bytes: find out what became so large, or raise MOST_BYTES");
}

/// Envoy's timeout for a request. It is shorter than shipped, because a test waits for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The shipped filter, in a VM without the clock: Envoy's capability restriction removes it. The SDK panics when a journey reads the time,
/// which first happens when a registration is checked.
async fn gateway_without_clock(folder: &str, store: Store) -> Gateway {
    gateway_without(
        "proxy_get_current_time_nanoseconds",
        Gateway::builder(PKI.clone()).folder(empty_folder(folder)).store(store),
    )
    .await
}

/// The shipped filter, in one VM without this hostcall.
async fn gateway_without(hostcall: &'static str, builder: GatewayBuilder) -> Gateway {
    let (imports, exports) = imports_and_exports();
    let names =
        imports.iter().filter_map(|import| import.split_once('.')).map(|(_, name)| name.to_owned()).chain(exports);
    let allowed: Map<String, Value> = names.filter(|name| name != hostcall).map(|name| (name, json!({}))).collect();
    let builder = builder.workers(1).envoy(move |envoy| {
        envoy.connection_manager("gateway")?["request_timeout"] = format!("{}s", REQUEST_TIMEOUT.as_secs()).into();
        envoy.plugin()?["capability_restriction_config"] = json!({ "allowed_capabilities": allowed });
        Ok(())
    });
    builder.start().await.unwrap()
}

#[test]
fn es256_is_verified_by_envoy_or_without_its_help_in_wasm() {
    run(async {
        let with = Gateway::builder(PKI.clone()).start().await.unwrap();
        let without = gateway_without("proxy_call_foreign_function", Gateway::builder(PKI.clone())).await;
        for (gateway, way) in [(with, "by host"), (without, "in wasm")] {
            let log = gateway.envoy_log();
            let configured: Vec<&str> = log.lines().filter(|line| line.contains(" configured: ")).collect();
            assert!(
                !configured.is_empty()
                    && configured.iter().all(|line| line.ends_with(&format!(", ES256 {way}, PS256 in floats"))),
                "{log}"
            );

            let (key, other) = (SigningKey::generate_es256(), SigningKey::generate_es256());
            gateway.directory().publish("/es256.jwks", json!({ "keys": [key.public_jwk()] }));
            let key_set = format!("{}/es256.jwks", gateway.directory().url());
            let statement = gateway.software_statement(&PKI.tpp).claim("software_jwks_endpoint", key_set);
            let request = good_request(&gateway).claim("software_statement", statement.sign(&PKI.directory).unwrap());
            let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
            let forged = request.sign(&other.with_kid(key.kid())).unwrap();
            assert_eq!(tpp.register(&forged).await.unwrap().status, 400, "{way}");
            assert_eq!(tpp.register(&request.sign(&key).unwrap()).await.unwrap().status, 201, "{way}");
        }
    });
}

#[test]
fn after_a_panic_the_next_requests_are_served_and_nothing_passed() {
    run(async {
        let gateway = gateway_without_clock("panic", Store::At(1)).await;
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
        assert_eq!(tpp.discover().await.unwrap().status, 200);

        for panics in 1..=2 {
            let answer = tpp.register(&signed(&good_request(&gateway))).await.unwrap();
            assert_failed(&gateway, &answer).await;
            served_again(&gateway, &tpp).await;
            let log = gateway.envoy_log();
            let places: Vec<&str> = log.lines().filter(|line| line.contains("dcr-gate panicked at ")).collect();
            assert_eq!(places.len(), panics, "{places:?}");
            assert!(places.iter().all(|line| line.contains("hostcalls.rs:")), "{places:?}");
        }
        let path = format!("{}/accounts", gateway.url());
        assert_passed(&gateway, &tpp.send(tpp.request(http::Method::GET, &path)).await.unwrap()).await;
        assert_eq!(gateway.backend().requests().len(), 1, "{:?}", gateway.backend().requests());
    });
}

#[test]
fn a_request_that_waits_while_another_panics_is_not_left_hanging() {
    run(async {
        let store = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = store.local_addr().unwrap().port();
        let gateway = gateway_without_clock("panic-while-waiting", Store::At(port)).await;
        let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();

        let waiting = tokio::spawn({
            let tpp = tpp.clone();
            async move { tpp.retrieve("0123456789abcdef", "a-token").await.unwrap() }
        });
        let _asked = store.accept().await.unwrap();
        let answer = tpp.register(&signed(&good_request(&gateway))).await.unwrap();
        assert_failed(&gateway, &answer).await;
        // The panic has destroyed the filter's state, so the filter cannot answer. Envoy's timeout ends the request.
        let answer = waiting.await.unwrap();
        assert_failed(&gateway, &answer).await;
        assert!(answer.elapsed < 2 * REQUEST_TIMEOUT, "{:?}", answer.elapsed);
        served_again(&gateway, &tpp).await;
    });
}

/// The answer comes from Envoy, because the filter can no longer give one.
async fn assert_failed(gateway: &Gateway, answer: &Answer) {
    assert_refused_by_envoy(gateway, answer, 503, "wasm_fail_stream", "a request to a filter that panicked").await;
}

/// Envoy waits about one second before it loads the module again. Until then it refuses requests.
async fn served_again(gateway: &Gateway, tpp: &Tpp) {
    until("a reloaded filter", async || {
        let answer = tpp.discover().await.unwrap();
        if answer.status == 200 {
            return Some(());
        }
        assert_failed(gateway, &answer).await;
        None
    })
    .await;
    let answer = tpp.send(tpp.request(http::Method::GET, &tpp.endpoints.client("0123456789abcdef"))).await.unwrap();
    NO_TOKEN.check(gateway, &answer, "after the reload").await;
}

/// The imports of the shipped filter as `module.name`, and the names of its exports.
fn imports_and_exports() -> (Vec<String>, Vec<String>) {
    let module = std::fs::read(Installation::find().unwrap().filter).unwrap();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(&module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                let imported = section.into_imports().map(Result::unwrap);
                imports.extend(imported.map(|import| format!("{}.{}", import.module, import.name)));
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}
