//! Tries each bound in the schemas of requests: a value just within the bound is accepted, and a value just beyond it is refused.

use serde_json::{Value, json};

use super::DOCUMENT;
use crate::support::{Rig, TRACEPARENT, jti, new_client, new_token, replacement};

#[tokio::test]
async fn the_store_has_the_bounds_of_the_document() {
    let rig = Rig::new().await;
    let client = rig.registered().await;
    // A jti must not be used twice, so each body has its own.
    let of = |kind: &str, number: usize| json!([jti(&format!("{kind} {number}"))]);

    for (number, attempt) in Attempt::all("NewToken", 't').into_iter().enumerate() {
        let mut token = new_token(of("token", number));
        token["client_id"] = json!(client.trim_start_matches("/v1/clients/"));
        (token["version"], token["request_id"], token["traceparent"]) = (json!(1), json!("id"), json!(TRACEPARENT));
        let tokens = json!({ "tokens": [attempt.apply(token)] });
        attempt.check(rig.post("/v1/tokens", &tokens).await.of_one().status.as_u16(), 201);
    }
    for (number, attempt) in Attempt::all("NewClient", 'c').into_iter().enumerate() {
        let mut new_client = new_client(of("client", number));
        (new_client["registration_access_token"], new_client["request_id"]) = (json!(true), json!("id"));
        new_client["traceparent"] = json!(TRACEPARENT);
        attempt.check(rig.create(&attempt.apply(new_client)).await.status.as_u16(), 201);
    }
    let mut version = 1;
    for (number, attempt) in Attempt::all("Replacement", 'r').into_iter().enumerate() {
        // An update with other software is refused, whatever its length.
        if attempt.pointer.starts_with("/software/") && attempt.is_within {
            continue;
        }
        let body = attempt.apply(replacement(of("update", number)));
        let answer = rig.put(&client, &format!("\"{version}\""), &body).await;
        attempt.check(answer.status.as_u16(), 200);
        version += i64::from(answer.status.is_success());
    }
}

/// A change of a valid body at one place.
struct Attempt {
    /// The tested keyword of the schema.
    keyword: &'static str,
    /// The place, as a JSON pointer.
    pointer: String,
    /// The value for this place. `None` means that the member is left out.
    value: Option<Value>,
    /// Whether the changed body still fits the schema.
    is_within: bool,
}

impl Attempt {
    /// All attempts that follow from the schema with this name. Long texts consist of `filler`.
    fn all(name: &str, filler: char) -> Vec<Self> {
        let mut all = Vec::new();
        collect(&DOCUMENT["components"]["schemas"][name], filler, "", &mut all);
        let of = |keyword: &str| all.iter().filter(|attempt| attempt.keyword == keyword).count();
        assert!(of("required") >= 3 && of("maxLength") >= 4 && of("maxItems") == 2 && of("pattern") >= 2, "{name}");
        all
    }

    fn apply(&self, mut body: Value) -> Value {
        let (parent, member) = self.pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match self.value.clone() {
            Some(value) => drop(parent.insert(member.to_owned(), value)),
            None => drop(parent.remove(member).unwrap()),
        }
        body
    }

    #[track_caller]
    fn check(&self, status: u16, success: u16) {
        let expected = if self.is_within { success } else { 400 };
        assert_eq!(status, expected, "{} at {}: {:?}", self.keyword, self.pointer, self.value);
    }
}

fn collect(schema: &Value, filler: char, pointer: &str, all: &mut Vec<Attempt>) {
    // A malformed client_id is an unknown client. A malformed request id or trace is only left out of the log.
    if ["/client_id", "/request_id", "/traceparent"].contains(&pointer) {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let referred = DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap();
        return collect(referred, filler, pointer, all);
    }
    let mut attempt = |keyword, value: Value, is_within| {
        all.push(Attempt { keyword, pointer: pointer.to_owned(), value: Some(value), is_within });
    };
    let text = |length: u64| json!(filler.to_string().repeat(usize::try_from(length).unwrap()));
    if let Some(most) = schema["maxLength"].as_u64() {
        attempt("maxLength", text(most), true);
        attempt("maxLength", text(most + 1), false);
    }
    if let Some(least) = schema["minLength"].as_u64() {
        attempt("minLength", text(least - 1), false);
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|_| schema["pattern"].is_string()) {
        attempt("pattern", json!("\0".repeat(usize::try_from(least).unwrap())), false);
    }
    for (keyword, step) in [("minimum", -1), ("maximum", 1)] {
        if let Some(bound) = schema[keyword].as_i64().filter(|bound| *bound != i64::MIN && *bound != i64::MAX) {
            attempt(keyword, json!(bound), true);
            attempt(keyword, json!(bound + step), false);
        }
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        let several = |number: u64| (0..number).map(|at| jti(&format!("{filler} {at} of {number}"))).collect();
        attempt("maxItems", several(most), true);
        attempt("maxItems", several(most + 1), false);
        collect(&schema["items"], filler, &format!("{pointer}/0"), all);
    }
    if schema["additionalProperties"] == false {
        let pointer_of = |name: &str| format!("{pointer}/{name}");
        all.push(Attempt {
            keyword: "additionalProperties",
            pointer: pointer_of("surprise"),
            value: Some(json!(1)),
            is_within: false,
        });
        let required = schema["required"].as_array().unwrap();
        for (name, schema) in schema["properties"].as_object().unwrap() {
            let is_within = !required.contains(&json!(name));
            all.push(Attempt { keyword: "required", pointer: pointer_of(name), value: None, is_within });
            collect(schema, filler, &pointer_of(name), all);
        }
    }
}
