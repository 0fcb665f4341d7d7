//! The module itself: what it asks of its host, and what becomes of Envoy when it panics.

use std::collections::BTreeSet;

use dcr_cli::client::{Answer, Tpp};
use dcr_dev::Gateway;
use dcr_dev::installation::Installation;
use serde_json::{Map, Value, json};
use wasmparser::{Parser, Payload};

use super::access_line;
use super::{NO_TOKEN, PKI, assert_nothing_upstream, assert_passed, empty_folder, good_request, run, signed, until};

/// A host that lacks one of them refuses the module, so this list does not grow unnoticed.
const IMPORTS: [&str; 0] = [];

#[test]
fn the_filter_asks_nothing_of_its_host_but_proxy_wasm_and_wasi() {
    let (imports, _) = imports_and_exports();
    let imports: BTreeSet<&str> = imports.iter().map(String::as_str).collect();
    assert_eq!(imports, BTreeSet::from(IMPORTS));
}

/// The shipped filter, in a VM from which Envoy's capability restriction takes the clock away: the SDK panics where a journey asks for
/// the time, which is not before a registration is judged.
async fn gateway_without_clock() -> Gateway {
    let (imports, exports) = imports_and_exports();
    let names =
        imports.iter().filter_map(|import| import.split_once('.')).map(|(_, name)| name.to_owned()).chain(exports);
    let allowed = names.filter(|name| name != "proxy_get_current_time_nanoseconds").map(|name| (name, json!({})));
    let allowed: Map<String, Value> = allowed.collect();
    let builder = Gateway::builder(PKI.clone()).folder(empty_folder("panic")).workers(1).envoy(move |envoy| {
        envoy.plugin()?["capability_restriction_config"] = json!({ "allowed_capabilities": allowed });
        Ok(())
    });
    builder.start().await.unwrap()
}

#[test]
fn after_a_panic_the_next_requests_are_served_and_nothing_passed() {
    run(async {
        let gateway = gateway_without_clock().await;
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

/// Envoy's own answer: the filter has none to give any more.
async fn assert_failed(gateway: &Gateway, answer: &Answer) {
    assert!((500..600).contains(&answer.status), "{}", answer.status);
    let logged = access_line(gateway, answer).await;
    assert!(logged["dcr_outcome"].is_null(), "{logged}");
    assert_nothing_upstream(gateway, answer, &logged, "the request that panicked");
}

/// Envoy waits about a second before it loads the module again, and fails requests meanwhile.
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

/// `module.name` of what the shipped filter imports, and the names of what it exports.
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
