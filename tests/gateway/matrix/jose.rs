//! JO and JW: the rules about every JWS, in the request, the statement and the assertion. Each is answered as its document demands.

use dcr_cli::keys::{Algorithm, SigningKey};
use dcr_cli::mint::{self, Token};
use dcr_jose::Algorithm as Allowed;
use dcr_policy::dialect::HeaderMember;
use dcr_policy::profile::Profile;
use serde_json::{Value, json};

use super::dialect::{PRIVATE_KEY_JWT, allows, is_unsigned};
use super::scene::renamed;
use super::{Case, Scene, Shot};
use crate::PKI;

/// Makes the keys of a set.
type Keys = fn() -> Vec<Value>;

/// Key sets of the third party besides its own, by their paths on the directory's host.
pub(super) const KEY_SETS: [(&str, Keys); 7] = [
    (WITH_TRANSPORT_KEY, || PKI.tpp.key_set().unwrap()["keys"].as_array().unwrap().clone()),
    (TWINS, || {
        let twin = renamed(&PKI.other_tpp.signing, PKI.tpp.signing.kid());
        vec![PKI.tpp.signing.public_jwk(), twin.public_jwk()]
    }),
    (NINE, || vec![PKI.tpp.signing.public_jwk(); 9]),
    (ODD, || vec![renamed(&PKI.tpp.signing, ODD_KID).public_jwk()]),
    (OF_ANOTHER_TYPE, || vec![renamed(&SigningKey::generate_es256(), PKI.tpp.signing.kid()).public_jwk()]),
    (PADDED, || vec![changed_key(|jwk| jwk["n"] = format!("{}==", jwk["n"].as_str().unwrap()).into())]),
    (PRIVATE, || vec![changed_key(|jwk| jwk["d"] = "AQAB".into())]),
];

/// The third party's key with a change.
fn changed_key(change: fn(&mut Value)) -> Value {
    let mut jwk = PKI.tpp.signing.public_jwk();
    change(&mut jwk);
    jwk
}

const WITH_TRANSPORT_KEY: &str = "/with-transport-key.jwks";
const TWINS: &str = "/twins.jwks";
const NINE: &str = "/nine.jwks";
const ODD: &str = "/odd.jwks";
const OF_ANOTHER_TYPE: &str = "/of-another-type.jwks";
const PADDED: &str = "/padded.jwks";
const PRIVATE: &str = "/private.jwks";
const ODD_KID: &str = "/HFQ+Rpv=";

/// The document that is broken. It determines the answer.
#[derive(Clone, Copy)]
enum Document {
    Request,
    Statement,
    Assertion,
}

/// Breaks a valid token of this document, signed with this key.
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
        token.sign_with_secret(key.public_pem().as_bytes(), key.kid())
    }),
    ("alg_not_allowed", "ps256", |token, key| token.header("alg", "ps256").sign(key).unwrap()),
    ("crit_not_understood", "crit", |token, key| token.header("crit", json!(["exp"])).sign(key).unwrap()),
    ("crit_not_understood", "empty crit", |token, key| token.header("crit", json!([])).sign(key).unwrap()),
    ("unencoded_payload", "b64", |token, key| token.header("b64", false).sign(key).unwrap()),
    ("key_in_header", "jwk", |token, key| token.header("jwk", key.public_jwk()).sign(key).unwrap()),
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
    ("date_malformed", "iat in milliseconds", |token, key| token.claim("iat", mint::now() * 1000).sign(key).unwrap()),
    ("date_malformed", "exp in milliseconds", |token, key| token.claim("exp", mint::now() * 1000).sign(key).unwrap()),
];

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = Vec::new();
    for document in documents(profile) {
        cases.extend(BROKEN.iter().map(|(reason, name, change)| document.case(reason, name, *change)));
        cases.extend(document.dates(profile));
        cases.extend(document.headers(profile));
        cases.extend(document.edges());
    }
    cases.extend(sizes(profile));
    cases.extend(keys(profile));
    cases.extend(kinds(profile));
    if !is_unsigned(profile) {
        cases.extend(OTHER_KEYS.iter().flat_map(|(algorithm, generate)| other_keys(profile, *algorithm, *generate)));
    }
    cases
}

/// The signed documents.
fn documents(profile: &Profile) -> Vec<Document> {
    let request = (!is_unsigned(profile)).then_some(Document::Request);
    let assertion = allows(profile, PRIVATE_KEY_JWT).then_some(Document::Assertion);
    [Some(Document::Statement), request, assertion].into_iter().flatten().collect()
}

/// The document that the third party signs: the registration request, or else the assertion.
fn of_third_party(profile: &Profile) -> Document {
    if is_unsigned(profile) { Document::Assertion } else { Document::Request }
}

impl Document {
    fn case(
        self,
        reason: &'static str,
        name: &'static str,
        change: impl Fn(Token, &SigningKey) -> String + 'static,
    ) -> Case {
        let (status, error) = self.answer();
        Case::refused(name, (reason, status, error), move |scene| self.send(scene, &change))
    }

    fn accepted(self, name: &'static str, change: impl Fn(Token, &SigningKey) -> String + 'static) -> Case {
        Case::accepted(name, self.success(), move |scene| self.send(scene, &change))
    }

    fn success(self) -> u16 {
        match self {
            Self::Request | Self::Statement => 201,
            Self::Assertion => 200,
        }
    }

    fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Request => (400, "invalid_client_metadata"),
            Self::Statement => (400, "invalid_software_statement"),
            Self::Assertion => (401, "invalid_client"),
        }
    }

    /// Dates too far in the future. A statement's own date has a rule of its own.
    fn dates(self, profile: &Profile) -> Vec<Case> {
        let beyond_skew = profile.clock_skew.as_secs() + 30;
        let ahead = |claim: &'static str| {
            move |token: Token, key: &SigningKey| token.claim(claim, mint::now() + beyond_skew).sign(key).unwrap()
        };
        let mut cases = vec![self.case("not_yet_valid", "nbf too far ahead", ahead("nbf"))];
        if !matches!(self, Self::Statement) {
            cases.push(self.case("issued_in_the_future", "iat too far ahead", ahead("iat")));
            cases.push(self.case("expired", "exp is now", |token, key| {
                token.claim("iat", mint::now() - 60).claim("exp", mint::now()).sign(key).unwrap()
            }));
        }
        cases
    }

    /// Header members that some ecosystems demand.
    fn headers(self, profile: &Profile) -> Vec<Case> {
        let required = match self {
            Self::Statement => &profile.software_statement.required_header,
            Self::Request | Self::Assertion => &profile.required_header,
        };
        let is_optional = |member| !required.contains(&member);
        vec![
            self.case("typ_missing", "no typ", |token, key| token.without_header("typ").sign(key).unwrap())
                .accepted_where(is_optional(HeaderMember::Typ), self.success()),
            self.case("kid_needed", "no kid", |token, key| token.without_header("kid").sign(key).unwrap())
                .accepted_where(is_optional(HeaderMember::Kid), self.success()),
        ]
    }

    /// Values at the limit that are still accepted.
    fn edges(self) -> Vec<Case> {
        vec![
            self.accepted("iat and nbf ten seconds ahead", |token, key| {
                let ahead = mint::now() + 10;
                token.claim("iat", ahead).claim("nbf", ahead).sign(key).unwrap()
            }),
            self.accepted("white space around the payload's JSON", |token, key| {
                let claims = serde_json::to_string_pretty(token.claims()).unwrap();
                token.payload(format!("\n   {claims}\n\n")).sign(key).unwrap()
            }),
            self.accepted("typ application/jwt", |token, key| {
                token.header("typ", "application/jwt").sign(key).unwrap()
            }),
        ]
    }

    fn send(self, scene: &Scene, change: impl Fn(Token, &SigningKey) -> String) -> Shot {
        match self {
            Self::Request => scene.post(change(scene.request(), &PKI.tpp.signing)),
            Self::Statement => scene.post_statement(&change(scene.statement(), &PKI.directory)),
            Self::Assertion => scene.post_assertion(&change(scene.assertion(), &PKI.tpp.signing)),
        }
    }
}

fn sizes(profile: &Profile) -> Vec<Case> {
    let longest = profile.registration.max_lifetime.as_secs();
    // A statement is part of a request. So it can be too long on its own only if the request is not a JWT.
    let outermost = if is_unsigned(profile) { Document::Statement } else { Document::Request };
    let mut cases = vec![outermost.case("jws_too_long", "more than 48 KiB", |token, key| {
        token.claim("filler", "x".repeat(36 * 1024)).sign(key).unwrap()
    })];
    if !is_unsigned(profile) {
        cases.extend([
            Document::Request.case("lifetime_too_long", "lives too long", move |token, key| {
                token.claim("exp", mint::now() + longest + 60).sign(key).unwrap()
            }),
            Document::Request.accepted("lives as long as it may", move |token, key| {
                token.claim("exp", mint::now() + longest).sign(key).unwrap()
            }),
            Document::Request.accepted("lives as long as it may, by a clock that is ahead", move |token, key| {
                let now = mint::now() + 10;
                token.claim("iat", now).claim("exp", now + longest).sign(key).unwrap()
            }),
            Document::Request
                .case("aud_malformed", "aud is a number", |token, key| token.claim("aud", 7).sign(key).unwrap()),
        ]);
    }
    cases
}

/// The choice of the key in a set.
fn keys(profile: &Profile) -> Vec<Case> {
    let document = of_third_party(profile);
    let (status, error) = document.answer();
    let takes_no_kid = !profile.required_header.contains(&HeaderMember::Kid);
    let mut cases = vec![
        Case::refused("signed with the kid of the transport key", ("key_unfit", status, error), |scene| {
            let keys = PKI.tpp.key_set().unwrap();
            let tls = keys["keys"].as_array().unwrap().iter().find(|key| key["use"] == "tls").unwrap().clone();
            with_keys(scene, WITH_TRANSPORT_KEY, |token| {
                token.header("kid", tls["kid"].clone()).sign(&PKI.tpp.signing).unwrap()
            })
        }),
        Case::refused("two fitting keys share a kid", ("kid_ambiguous", status, error), |scene| {
            with_keys(scene, TWINS, |token| token.sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("the kid of an EC key", ("key_of_another_type", status, error), |scene| {
            with_keys(scene, OF_ANOTHER_TYPE, |token| token.sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("a modulus with padding", ("key_malformed", status, error), |scene| {
            with_keys(scene, PADDED, |token| token.sign(&PKI.tpp.signing).unwrap())
        }),
        Case::refused("a private key in the set", ("key_private", status, error), |scene| {
            with_keys(scene, PRIVATE, |token| token.sign(&PKI.tpp.signing).unwrap())
        }),
        Case::accepted("a kid with = / and +", document.success(), |scene| {
            with_keys(scene, ODD, |token| token.sign(&renamed(&PKI.tpp.signing, ODD_KID)).unwrap())
        }),
    ];
    if takes_no_kid {
        cases.push(Case::refused("no kid, and nine keys to try", ("kid_needed", status, error), |scene| {
            with_keys(scene, NINE, |token| token.without_header("kid").sign(&PKI.tpp.signing).unwrap())
        }));
    }
    cases
}

/// A document that is signed with keys of the set at this path: a registration request, or an assertion if requests are not signed.
fn with_keys(scene: &Scene, path: &str, sign: impl Fn(Token) -> String) -> Shot {
    match scene.clients_of_key_sets.get(path) {
        Some(client_id) => scene.post_assertion(&sign(scene.gateway.client_assertion(client_id))),
        None => scene.post(sign(scene.request_of_keys(path))),
    }
}

/// A token of one kind in place of another.
fn kinds(profile: &Profile) -> Vec<Case> {
    let (status, error) = Document::Request.answer();
    let mut cases = vec![
        Document::Statement.case("token_confused", "a request sent as statement", |token, key| {
            token.claim("software_statement", "e30.e30.e30").sign(key).unwrap()
        }),
        Case::refused("a statement sent as request", ("token_confused", status, error), |scene| {
            scene.post_request_of(&scene.statement(), &PKI.directory)
        }),
    ];
    if allows(profile, PRIVATE_KEY_JWT) {
        cases.extend([
            Case::refused("an assertion sent as request", ("token_confused", status, error), |scene| {
                scene.post_request_of(&scene.assertion(), &PKI.tpp.signing)
            }),
            Document::Assertion.case("token_confused", "a request object sent as assertion", |token, key| {
                token.claim("response_type", "code").sign(key).unwrap()
            }),
        ]);
    }
    cases
}

/// Keys for other algorithms than PS256, which the third party's own key has.
const OTHER_KEYS: [(Allowed, fn() -> SigningKey); 2] =
    [(Allowed::Es256, SigningKey::generate_es256), (Allowed::EdDsa, SigningKey::generate_eddsa)];

/// Requests signed with such a key: a valid one, one signed by another key of the same kind, and one for a key of another kind.
fn other_keys(profile: &Profile, algorithm: Allowed, generate: fn() -> SigningKey) -> Vec<Case> {
    let name = algorithm.name();
    let is_allowed = profile.signing_algorithms.contains(&algorithm);
    let refused = |what: &str, reason: &'static str, shot: Box<dyn Fn(&Scene) -> Shot>| {
        let reason = if is_allowed { reason } else { "alg_not_allowed" };
        Case::refused(format!("{name}{what}"), (reason, 400, "invalid_client_metadata"), shot)
    };
    let request = move |scene: &Scene, key: &SigningKey| {
        let path = format!("/{}.jwks", key.kid());
        scene.gateway.directory().publish(&path, json!({ "keys": [key.public_jwk()] }));
        scene.request_of_keys(&path).claim("token_endpoint_auth_signing_alg", name)
    };
    vec![
        refused("", "alg_not_allowed", {
            Box::new(move |scene| {
                let key = generate();
                scene.post(request(scene, &key).sign(&key).unwrap())
            })
        })
        .accepted_where(is_allowed, 201),
        refused(" by another key", "request_signature", {
            Box::new(move |scene| {
                let key = generate();
                scene.post(request(scene, &key).sign(&renamed(&generate(), key.kid())).unwrap())
            })
        }),
        refused(" with the kid of an RSA key", "key_of_another_type", {
            Box::new(move |scene| {
                scene.post(scene.request().sign(&renamed(&generate(), PKI.tpp.signing.kid())).unwrap())
            })
        }),
    ]
}
