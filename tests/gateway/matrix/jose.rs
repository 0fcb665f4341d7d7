//! JO and JW: every JWS, be it the request, the statement or the assertion, each answered as its document is.

use dcr_cli::keys::{Algorithm, SigningKey};
use dcr_cli::mint::{self, Token};
use serde_json::json;

use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

/// Where a broken token stands, and how it is answered there.
#[derive(Clone, Copy)]
enum Document {
    Request,
    Statement,
    Assertion,
}

/// Breaks a good token of this document, signed with this key.
type Break = fn(Token, &SigningKey) -> String;

const BROKEN: &[(&str, &str, Break)] = &[
    ("jws_malformed", "padding", |token, key| format!("{}=", token.sign(key).unwrap())),
    ("jws_malformed", "a line break behind it", |token, key| format!("{}\n", token.sign(key).unwrap())),
    ("jws_malformed", "white space before it", |token, key| format!(" {}", token.sign(key).unwrap())),
    ("jws_malformed", "two parts", |token, key| token.sign(key).unwrap().rsplit_once('.').unwrap().0.to_owned()),
    ("jws_malformed", "JSON serialisation", |_, _| r#"{"payload":"e30","signatures":[]}"#.to_owned()),
    ("jose_header_malformed", "kid is a number", |token, key| token.header("kid", 7).sign(key).unwrap()),
    ("alg_missing", "no alg", |token, key| token.without_header("alg").sign(key).unwrap()),
    ("unsigned", "alg none", |token, _| token.unsigned()),
    ("unsigned", "alg nOnE with a signature", |token, key| token.header("alg", "nOnE").sign(key).unwrap()),
    ("unsigned", "no signature", |token, key| format!("{}.", token.sign(key).unwrap().rsplit_once('.').unwrap().0)),
    ("alg_not_allowed", "RS256", |token, key| token.sign_as(key, Algorithm::Rs256).unwrap()),
    ("alg_not_allowed", "HS256 with the public key as secret", |token, key| {
        token.sign_with_secret(key.public_pem().unwrap().as_bytes(), key.kid())
    }),
    ("alg_not_allowed", "ps256", |token, key| token.header("alg", "ps256").sign(key).unwrap()),
    ("crit_not_understood", "crit", |token, key| token.header("crit", json!(["exp"])).sign(key).unwrap()),
    ("crit_not_understood", "empty crit", |token, key| token.header("crit", json!([])).sign(key).unwrap()),
    ("unencoded_payload", "b64", |token, key| token.header("b64", false).sign(key).unwrap()),
    ("key_in_header", "jwk", |token, key| token.header("jwk", key.public_jwk().unwrap()).sign(key).unwrap()),
    ("key_in_header", "jku", |token, key| token.header("jku", "https://localhost/k").sign(key).unwrap()),
    ("key_in_header", "x5u", |token, key| token.header("x5u", "https://localhost/k").sign(key).unwrap()),
    ("key_in_header", "x5c", |token, key| token.header("x5c", json!(["MIIB"])).sign(key).unwrap()),
    ("kid_unknown", "unknown kid", |token, key| token.header("kid", "unheard/of+=").sign(key).unwrap()),
    ("encrypted", "five parts", |token, key| format!("{}.e30.e30", token.sign(key).unwrap())),
    ("typ_wrong", "an access token's typ", |token, key| token.header("typ", "at+jwt").sign(key).unwrap()),
    ("claims_malformed", "an array", |token, key| token.payload("[]").sign(key).unwrap()),
    ("claims_malformed", "a repeated claim", |token, key| token.payload(r#"{"iss":"a","iss":"b"}"#).sign(key).unwrap()),
    ("claims_malformed", "not UTF-8", |token, key| token.payload(b"{\"a\":\"\xff\"}".to_vec()).sign(key).unwrap()),
    ("date_malformed", "exp is a string", |token, key| token.claim("exp", "2147483647").sign(key).unwrap()),
    ("date_malformed", "exp in milliseconds", |token, key| token.claim("exp", mint::now() * 1000).sign(key).unwrap()),
    ("not_yet_valid", "nbf far ahead", |token, key| token.claim("nbf", mint::now() + 120).sign(key).unwrap()),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [Document::Request, Document::Statement, Document::Assertion]
        .into_iter()
        .flat_map(|document| BROKEN.iter().map(move |(reason, name, change)| document.case(reason, name, *change)))
        .collect();
    cases.extend(of_one_document());
    cases.extend(edges());
    cases
}

impl Document {
    fn case(self, reason: &'static str, name: &'static str, change: Break) -> Case {
        let (status, error) = self.answer();
        Case::refused(name, (reason, status, error), move |scene| self.send(scene, change))
    }

    fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Request => (400, "invalid_client_metadata"),
            Self::Statement => (400, "invalid_software_statement"),
            Self::Assertion => (401, "invalid_client"),
        }
    }

    fn send(self, scene: &Scene, change: Break) -> Shot {
        match self {
            Self::Request => scene.post(change(scene.request(), &PKI.tpp.signing)),
            Self::Statement => scene.post_statement(change(scene.statement(), &PKI.directory)),
            Self::Assertion => scene.post_assertion(&change(scene.assertion(), &PKI.tpp.signing)),
        }
    }
}

fn of_one_document() -> Vec<Case> {
    let request = Document::Request.answer();
    let broken_request = |reason: &'static str, name, change: Break| Document::Request.case(reason, name, change);
    vec![
        Document::Statement
            .case("typ_wrong", "a statement without typ", |token, key| token.without_header("typ").sign(key).unwrap()),
        broken_request("jws_too_long", "more than 48 KiB", |token, key| {
            token.claim("filler", "x".repeat(36 * 1024)).sign(key).unwrap()
        }),
        broken_request("key_unfit", "signed with the kid of the transport key", |token, key| {
            let keys = PKI.tpp.key_set().unwrap();
            let tls = keys["keys"].as_array().unwrap().iter().find(|key| key["use"] == "tls").unwrap();
            token.header("kid", tls["kid"].clone()).sign(key).unwrap()
        }),
        Case::refused("two fitting keys share a kid", ("kid_ambiguous", request.0, request.1), |scene| {
            let directory = scene.gateway.directory();
            let twin = renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
            let keys = json!({ "keys": [PKI.tpp.signing.public_jwk().unwrap(), twin.public_jwk().unwrap()] });
            directory.publish("/twins.jwks", keys);
            let statement =
                scene.statement().claim("software_jwks_endpoint", format!("{}/twins.jwks", directory.url()));
            let statement = statement.sign(&PKI.directory).unwrap();
            scene.post(scene.request().claim("software_statement", statement).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("no kid, and nine keys to try", ("kid_needed", request.0, request.1), |scene| {
            let directory = scene.gateway.directory();
            let keys = vec![PKI.tpp.signing.public_jwk().unwrap(); 9];
            directory.publish("/many.jwks", json!({ "keys": keys }));
            let statement = scene.statement().claim("software_jwks_endpoint", format!("{}/many.jwks", directory.url()));
            let statement = statement.sign(&PKI.directory).unwrap();
            let token = scene.request().claim("software_statement", statement).without_header("kid");
            scene.post(token.sign(&PKI.tpp.signing).unwrap())
        }),
        broken_request("expired", "expired a moment ago", |token, key| {
            token.claim("exp", mint::now()).sign(key).unwrap()
        }),
        Document::Assertion.case("expired", "expired five minutes ago", |token, key| {
            token.claim("iat", mint::now() - 600).claim("exp", mint::now() - 300).sign(key).unwrap()
        }),
        broken_request("issued_in_the_future", "iat a minute ahead", |token, key| {
            token.claim("iat", mint::now() + 65).sign(key).unwrap()
        }),
        Document::Assertion.case("issued_in_the_future", "iat a minute ahead", |token, key| {
            token.claim("iat", mint::now() + 65).sign(key).unwrap()
        }),
        broken_request("lifetime_too_long", "lives for years", |token, key| {
            token.claim("exp", mint::now() + 100_000_000).sign(key).unwrap()
        }),
        broken_request("aud_malformed", "aud is a number", |token, key| token.claim("aud", 7).sign(key).unwrap()),
        Document::Assertion.case("aud_malformed", "aud holds a number", |token, key| {
            token.claim("aud", json!([7])).sign(key).unwrap()
        }),
        Case::refused("a statement sent as request", ("token_confused", request.0, request.1), |scene| {
            scene.post(scene.statement().sign(&PKI.directory).unwrap())
        }),
        Case::refused("an assertion sent as request", ("token_confused", request.0, request.1), |scene| {
            scene.post(scene.assertion().sign(&PKI.tpp.signing).unwrap())
        }),
        Document::Statement.case("token_confused", "a request sent as statement", |token, key| {
            token.claim("software_statement", "e30.e30.e30").sign(key).unwrap()
        }),
        Document::Assertion.case("token_confused", "a request object sent as assertion", |token, key| {
            token.claim("response_type", "code").sign(key).unwrap()
        }),
    ]
}

/// What is still accepted, one step before it is not.
fn edges() -> Vec<Case> {
    vec![
        Case::accepted("iat and nbf ten seconds ahead", 201, |scene| {
            let ahead = mint::now() + 10;
            scene.post(scene.request().claim("iat", ahead).claim("nbf", ahead).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("white space around the payload's JSON", 201, |scene| {
            let token = scene.request();
            let claims = serde_json::to_string_pretty(token.claims()).unwrap();
            scene.post(token.payload(format!("\n   {claims}\n\n")).sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("no typ", 201, |scene| {
            scene.post(scene.request().without_header("typ").sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("typ application/jwt", 201, |scene| {
            scene.post(scene.request().header("typ", "application/jwt").sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("an assertion without kid", 200, |scene| {
            scene.post_assertion(&scene.assertion().without_header("kid").sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("a kid with = / and +", 201, |scene| {
            let directory = scene.gateway.directory();
            let key = renamed(&PKI.tpp.signing, "/HFQ+Rpv=");
            directory.publish("/odd.jwks", json!({ "keys": [key.public_jwk().unwrap()] }));
            let statement = scene.statement().claim("software_jwks_endpoint", format!("{}/odd.jwks", directory.url()));
            let statement = statement.sign(&PKI.directory).unwrap();
            scene.post(scene.request().claim("software_statement", statement).sign(&key).unwrap())
        }),
        Case::accepted("ES256", 201, |scene| {
            let directory = scene.gateway.directory();
            let key = SigningKey::generate_es256();
            directory.publish("/es256.jwks", json!({ "keys": [key.public_jwk().unwrap()] }));
            let statement =
                scene.statement().claim("software_jwks_endpoint", format!("{}/es256.jwks", directory.url()));
            let statement = statement.sign(&PKI.directory).unwrap();
            let request = scene.request().claim("software_statement", statement);
            scene.post(request.claim("token_endpoint_auth_signing_alg", "ES256").sign(&key).unwrap())
        }),
    ]
}
