//! `store/openapi.json` is made from the types of the protocol and compared with the store's answers. Every answer in these tests is
//! checked against it ([`check`]). The tests here cause each answer in the document once, and try each bound.

mod bounds;
mod document;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use dcr_store::credential::Credential;
use dcr_store_protocol::{ErrorCode, Kind, path};
use http_body_util::channel::Channel;
use jsonschema::Validator;
use serde_json::{Value, json};

use self::document::document;
use crate::support::{Answer, Rig, creation, form_request, issue, jti, new_client, new_token, post, replacement, with};

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The JSON body of a request. It is kept with the request, so that it can be checked once the answer is known.
#[derive(Clone)]
pub(crate) struct Sent(pub(crate) Value);

#[test]
fn the_committed_document_is_the_one_made_from_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = format!("{:#}\n", *DOCUMENT);
    if std::env::var_os("DCR_WRITE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == made, "store/openapi.json is stale: write it with `DCR_WRITE_DOCS=1 cargo test -p dcr-store`");
}

#[test]
fn every_error_code_is_in_the_document() {
    let text = DOCUMENT["components"]["schemas"]["ErrorCode"].to_string();
    for code in ErrorCode::ALL {
        assert!(text.contains(&format!("\"{}\"", code.word())), "{code:?}");
    }
}

#[tokio::test]
async fn the_store_gives_every_answer_of_the_document() {
    for (path, method, status) in answers() {
        let answer = cause(&path, &method, status).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {answer:?}");
    }
}

/// Every path, method and status of the document.
fn answers() -> Vec<(String, Method, u16)> {
    let mut answers = Vec::new();
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let statuses = operation["responses"].as_object().unwrap().keys();
            answers.extend(statuses.map(|status| (path.clone(), method.clone(), status.parse().unwrap())));
        }
    }
    assert!(answers.len() > 40, "{answers:?}");
    answers
}

/// Makes a store give this answer.
async fn cause(path: &str, method: &Method, status: u16) -> Answer {
    let credential = (status == 401).then(|| Credential::parse(&"a".repeat(32)).unwrap());
    let rig = Rig::with_credential(credential).await;
    let client = if status == 401 { path.replace("{client_id}", "a") } else { rig.registered().await };
    let mut request = good_request(path, method, &client);
    let headers = request.headers_mut();
    match status {
        200 | 204 | 401 => {}
        400 if method == Method::PUT => drop(headers.insert("if-match", "1".parse().unwrap())),
        400 => *request.body_mut() = Body::from("{}"),
        404 => drop(rig.delete(&client).await),
        408 => return without_body(&rig, request).await,
        409 => {
            let foreign = with(replacement(json!([])), "/software/id", json!("another"));
            *request.body_mut() = Body::from(foreign.to_string());
        }
        412 => drop(headers.insert("if-match", "\"2\"".parse().unwrap())),
        413 => *request.body_mut() = Body::from(" ".repeat(256 * 1024 + 1)),
        415 => drop(headers.insert("content-type", "text/plain".parse().unwrap())),
        428 => drop(headers.remove("if-match")),
        503 => rig.database.clone().close().await.unwrap(),
        other => panic!("nothing is known that causes {other}"),
    }
    rig.send(request).await
}

/// The paused clock of the runtime advances when there is nothing else to do. So the test does not wait for a body that never comes.
async fn without_body(rig: &Rig, mut request: Request<Body>) -> Answer {
    let (_more_to_come, body) = Channel::<Bytes>::new(1);
    *request.body_mut() = Body::new(body);
    tokio::time::pause();
    let answer = rig.send(request).await;
    tokio::time::resume();
    answer
}

/// A request that succeeds, for a client that exists.
fn good_request(path: &str, method: &Method, client: &str) -> Request<Body> {
    match (method.as_str(), path) {
        ("POST", path::CLIENTS) => creation(&new_client(json!([jti("a")]))),
        ("PUT", path::CLIENT) => {
            let mut put = post(client, &replacement(json!([jti("a")])));
            *put.method_mut() = Method::PUT;
            put.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
            put
        }
        ("GET" | "DELETE", path::CLIENT) => Request::builder().method(method).uri(client).body(Body::empty()).unwrap(),
        ("POST", path::TOKENS) => issue(client, &new_token(json!([jti("a")]))),
        ("POST", path::INTROSPECT | path::REVOKE) => form_request(path, "token=a"),
        ("GET", path::HEALTH | path::READY | path::METRICS) => Request::get(path).body(Body::empty()).unwrap(),
        other => panic!("nothing is known of {other:?}"),
    }
}

/// Checks an answer against the document. If the request was accepted, its JSON body is checked too.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, sent: Option<&Sent>, answer: &Answer) {
    let Some(operation) = operation(method, path) else {
        let error = answer.body["error"].as_str().unwrap_or_default();
        assert!(
            ["not_found", "method_not_allowed"].contains(&error),
            "{method} {path} is not in the document: {answer:?}"
        );
        return validate("/components/schemas/Error", &answer.body);
    };
    let pointer = format!("{operation}/responses/{}", answer.status.as_u16());
    let response = DOCUMENT.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is not in the document: {answer:?}"));
    for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        let required = response["headers"][name]["required"] == true;
        assert!(!required || answer.headers.contains_key(name), "{pointer}: {name} is missing in {answer:?}");
    }
    match response["content"].as_object().and_then(|content| content.keys().next()) {
        None => assert_eq!(answer.text, ""),
        Some(media_type) => {
            assert_eq!(answer.header("content-type"), media_type);
            // A record may nest deeper than the tests can read.
            let is_too_deep = answer.text.contains(&"[".repeat(128));
            if media_type == "application/json" && !is_too_deep {
                validate(&format!("{pointer}/content/application~1json/schema"), &answer.body);
            }
        }
    }
    for (schema, accepted) in sent.map(|sent| accepted(method, &sent.0, answer)).unwrap_or_default() {
        validate(&format!("/components/schemas/{schema}"), accepted);
    }
}

/// The accepted parts of a JSON body: the whole body, or the items of a batch that were not refused. Each has the name of its schema.
fn accepted<'a>(method: &Method, sent: &'a Value, answer: &Answer) -> Vec<(&'static str, &'a Value)> {
    if method == Method::PUT {
        return if answer.status.is_success() { vec![("Replacement", sent)] } else { Vec::new() };
    }
    let of_kind = |(kind, schema): (Kind, &'static str)| {
        let items = sent[kind.member()].as_array().into_iter().flatten();
        let replies = answer.body[kind.member()].as_array().into_iter().flatten();
        items.zip(replies).filter(|(_, reply)| reply["status"] == 201).map(move |(item, _)| (schema, item))
    };
    [(Kind::Clients, "NewClient"), (Kind::Tokens, "NewToken")].into_iter().flat_map(of_kind).collect()
}

/// The place of the operation in the document, as a JSON pointer. `None` if the document does not have it.
fn operation(method: &Method, path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let template = match path.strip_prefix("/v1/clients/") {
        Some(client_id) if !client_id.is_empty() && !client_id.contains('/') => path::CLIENT,
        _ => path,
    };
    let pointer = format!("/paths/{}/{}", template.replace('/', "~1"), method.as_str().to_lowercase());
    DOCUMENT.pointer(&pointer).map(|_| pointer)
}

/// Checks a value against the schema at a place in the document.
#[track_caller]
fn validate(pointer: &str, value: &Value) {
    let validator = validator(pointer);
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{pointer} does not describe {value}: {errors:?}");
}

/// The validator of a place. It is made once.
fn validator(pointer: &str) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let make = || {
        let mut schema = DOCUMENT.pointer(pointer).unwrap().clone();
        schema["components"] = DOCUMENT["components"].clone();
        Arc::new(jsonschema::draft202012::new(&schema).unwrap())
    };
    MADE.lock().unwrap().entry(pointer.to_owned()).or_insert_with(make).clone()
}
