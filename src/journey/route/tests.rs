use super::*;
use crate::journey::tests::config as document;

fn routes() -> Routes {
    Routes::new(&Config::from_value(document()).unwrap())
}

#[test]
fn endpoints_are_found_by_method_and_path() {
    let routes = routes();
    let register = "/open-banking/v3.3.0/register";
    let own = format!("{register}/abc-_.~9");
    let id = || "abc-_.~9".to_owned();
    for (method, path, endpoint) in [
        ("POST", register, Endpoint::Register),
        ("GET", &own, Endpoint::Retrieve(id())),
        ("HEAD", &own, Endpoint::Retrieve(id())),
        ("PUT", &own, Endpoint::Update(id())),
        ("DELETE", &own, Endpoint::Delete(id())),
        ("POST", "/token", Endpoint::Token),
        ("GET", "/.well-known/openid-configuration", Endpoint::Discovery),
        ("HEAD", "/.well-known/oauth-authorization-server", Endpoint::Discovery),
    ] {
        assert_eq!(routes.find(path, || method), Route::Serve(endpoint), "{method} {path}");
    }
}

#[test]
fn every_other_path_passes() {
    for path in [
        "/",
        "/open-banking/v3.1/aisp/accounts",
        "/tokens",
        "/open-banking/v3.3.0/registers",
        "/token/x",
        "*",
        "/a%2fb",
        "/x;y",
    ] {
        assert_eq!(routes().find(path, || "POST"), Route::Pass, "{path}");
    }
}

#[test]
fn rg_14_other_methods_are_refused_and_the_allowed_ones_named() {
    for (method, path, methods) in [
        ("GET", "/open-banking/v3.3.0/register", "POST"),
        ("POST", "/open-banking/v3.3.0/register/id", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/open-banking/v3.3.0/register/id", "GET, HEAD, PUT, DELETE"),
        ("GET", "/token", "POST"),
        ("post", "/token", "POST"),
        ("POST", "/.well-known/openid-configuration", "GET, HEAD"),
    ] {
        match routes().find(path, || method) {
            Route::Refuse { refusal, allow, .. } => {
                let answer = (refusal.rule.reason, refusal.status(), refusal.error().as_str(), allow);
                assert_eq!(answer, ("method_not_allowed", 405, "invalid_request", Some(methods)));
            }
            other => panic!("{method} {path}: {other:?}"),
        }
    }
}

#[test]
fn gw_02_a_path_that_only_looks_like_an_endpoint_is_refused() {
    for path in [
        "/open-banking/v3.3.0/register/",
        "/open-banking/v3.3.0//register",
        "//open-banking/v3.3.0/register",
        "/open-banking/v3.3.0/register;jsessionid=1",
        "/open-banking;x/v3.3.0/register",
        "/open-banking%2fv3.3.0%2fregister",
        "/open-banking/v3.3.0/register%2fid",
        "/open-banking/v3.3.0/%72egister",
        "/open-banking/v3.3.0/%2572egister",
        "/open-banking/./v3.3.0/register",
        "/open-banking/v3.3.0/x/../register",
        "/x/../token",
        "/..%2ftoken",
        "/open-banking\\v3.3.0\\register",
        "/OPEN-BANKING/v3.3.0/register",
        "/Token",
        "/token/",
        "/token%00",
        "/token%3fx",
        "/token%20",
        "/open-banking/v3.3.0/register/id/more",
        "/open-banking/v3.3.0/register/a%20b",
        "/open-banking/v3.3.0/register/..",
        "/open-banking/v3.3.0/register/../../../accounts",
        "/open-banking/v3.3.0/register/%2e%2e/%2e%2e/%2e%2e/accounts",
        "/.well-known//openid-configuration",
    ] {
        match routes().find(path, || "POST") {
            Route::Refuse { refusal, .. } => {
                let answer = (refusal.rule.reason, refusal.status(), refusal.error().as_str());
                assert_eq!(answer, ("path_not_canonical", 400, "invalid_request"), "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn mt_01_the_metadata_of_an_issuer_with_a_path() {
    let mut document = document();
    document["issuer"] = serde_json::json!("https://bank.example/oauth/uk");
    let routes = Routes::new(&Config::from_value(document).unwrap());
    for path in ["/oauth/uk/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/oauth/uk"] {
        assert_eq!(routes.find(path, || "GET"), Route::Serve(Endpoint::Discovery), "{path}");
    }
    assert_eq!(routes.find("/.well-known/openid-configuration", || "GET"), Route::Pass);
}

#[test]
fn a_path_that_all_servers_read_alike_is_not_changed_by_normalising() {
    let parts = ["/", "/", "a", "token", "x.y", ".", "..", "-", "_~", "9", "%2f", "A", ";", "\\", " "];
    let mut plain = 0;
    for number in 0..parts.len().pow(4) {
        let path: String = (0..4).map(|place| parts[number / parts.len().pow(place) % parts.len()]).collect();
        for dots in [Dots::Resolved, Dots::Kept] {
            if let Some(reading) = the_one_reading(&path) {
                plain += 1;
                assert_eq!(reading.to_ascii_lowercase(), loosest_reading(&path, dots), "{path}");
            }
        }
    }
    assert!(plain > 1000, "{plain}");
}
