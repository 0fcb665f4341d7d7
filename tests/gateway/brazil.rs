//! Open Finance Brasil. Its registration requests are not signed. The directory's signature, the transport certificate and the registration
//! access token protect a registration from other parties.

use dcr_cli::client::{Answer, Endpoints, Tpp};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, Token};
use dcr_cli::pki::{Identity, ThirdParty, TransportShape};
use dcr_cli::software::Software;
use dcr_dev::Gateway;
use dcr_policy::profile::Profile;
use reqwest::Method;
use serde_json::{Value, json};

use crate::PKI;

const INTERACTION_ID: &str = "x-fapi-interaction-id";

/// A gateway with the profile of Open Finance Brasil.
struct Brazil {
    gateway: Gateway,
}

impl Brazil {
    async fn open() -> Self {
        let builder = crate::gateway().plugin(json!({ "profile": "br-openfinance" }));
        let builder = builder.directory(json!({ "issuer": mint::BRAZIL_DIRECTORY_ISSUER }));
        Self { gateway: builder.start().await.unwrap() }
    }

    fn client(&self, identity: Option<&Identity>) -> Tpp {
        let mut tpp = self.gateway.client(identity).unwrap();
        let paths = Profile::named("br-openfinance").unwrap().paths;
        tpp.endpoints = Endpoints::at(self.gateway.url(), &paths.registration, &paths.token);
        tpp
    }

    fn tpp(&self) -> Tpp {
        self.client(Some(&PKI.tpp.brcac))
    }

    fn statement(&self, party: &ThirdParty) -> Token {
        mint::brazil_software_statement(&party.brazilian_software, &self.gateway.directory().url())
    }

    fn request_with(&self, statement: &str) -> Token {
        mint::brazil_registration_request(&PKI.tpp.brazilian_software, statement)
    }

    fn request(&self) -> Token {
        self.request_with(&self.statement(&PKI.tpp).sign(&PKI.directory).unwrap())
    }

    /// Registers a third party. Returns its client_id and its registration access token.
    async fn registered(&self, party: &ThirdParty) -> (Tpp, String, String) {
        let tpp = self.client(Some(&party.brcac));
        let statement = self.statement(party).sign(&PKI.directory).unwrap();
        let request = mint::brazil_registration_request(&party.brazilian_software, &statement);
        let created = tpp.register(&request.to_json()).await.unwrap();
        assert_eq!(created.status, 201, "{}", created.json());
        let member = |name| created.member(name).unwrap();
        (tpp, member("client_id"), member("registration_access_token"))
    }

    async fn access_token(&self, tpp: &Tpp, client_id: &str) -> String {
        let assertion = self.gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
        let issued = tpp.token_by_assertion(&assertion, None).await.unwrap();
        assert_eq!(issued.status, 200, "{}", issued.json());
        issued.member("access_token").unwrap()
    }

    async fn assert_refused(&self, answer: &Answer, status: u16, reason: &str, of: &str) {
        assert_eq!(answer.status, status, "{of}: {}", answer.json());
        let id = answer.header("x-request-id").unwrap();
        let logged = self.gateway.access_logged(|line| line["request_id"] == id).await.unwrap();
        assert_eq!(Gateway::broken_rule(&logged).unwrap().1, reason, "{of}");
        for secret in ["client_id", "registration_access_token", "access_token"] {
            assert!(answer.json().get(secret).is_none(), "{of}: {}", answer.json());
        }
    }

    /// The number of clients in the store.
    async fn clients(&self) -> String {
        let operator = self.client(None);
        let url = format!("{}/metrics", self.gateway.store_url());
        let metrics = operator.send(operator.request(Method::GET, &url)).await.unwrap();
        let metrics = String::from_utf8(metrics.body).unwrap();
        metrics.lines().find_map(|line| line.strip_prefix("dcr_store_clients ")).unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_third_party_registers_and_manages_its_registration_by_the_token_that_came_with_it() {
    let brazil = Brazil::open().await;
    let tpp = brazil.tpp();
    let id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    let post = tpp.request(Method::POST, &tpp.endpoints.registration).header(INTERACTION_ID, id);
    let post = post.header("content-type", "application/json").body(brazil.request().to_json());
    let created = tpp.send(post).await.unwrap();
    assert_eq!((created.status, created.header(INTERACTION_ID)), (201, Some(id)), "{}", created.json());
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let body = created.json();
    let (client_id, token) =
        (created.member("client_id").unwrap(), created.member("registration_access_token").unwrap());
    assert_eq!(body["registration_client_uri"], tpp.endpoints.client(&client_id));
    let own_keys = brazil.statement(&PKI.tpp).claims()["software_jwks_uri"].clone();
    assert_eq!(body["jwks_uri"], own_keys, "the statement's key set is the client's");

    brazil.access_token(&tpp, &client_id).await;
    let retrieved = tpp.retrieve(&client_id, &token).await.unwrap();
    assert_eq!((retrieved.status, retrieved.json()), (200, body.clone()));
    let update = brazil.request().claim("scope", "openid payments").claim("client_id", client_id.as_str());
    let updated = tpp.update(&client_id, &token, &update.to_json()).await.unwrap();
    assert_eq!((updated.status, updated.json()["scope"].as_str()), (200, Some("openid payments")));
    assert_eq!(updated.json()["registration_access_token"], body["registration_access_token"], "CM-13: not rotated");

    let again = tpp.register(&brazil.request().to_json()).await.unwrap();
    brazil.assert_refused(&again, 400, "software_already_registered", "a second registration").await;
    let deleted = tpp.delete(&client_id, &token).await.unwrap();
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let retrieved = tpp.retrieve(&client_id, &token).await.unwrap();
    brazil.assert_refused(&retrieved, 401, "token_inactive", "after the end").await;
    let again = tpp.register(&brazil.request().to_json()).await.unwrap();
    assert_eq!(again.status, 201, "{}", again.json());
    assert_ne!(again.member("registration_access_token").unwrap(), token);
}

#[tokio::test]
async fn a_software_is_registered_only_over_its_own_certificate() {
    let brazil = Brazil::open().await;
    let software = || PKI.tpp.brazilian_software.clone();
    let brcac = |software: Software| PKI.tpp_ca.issue_transport(&software, TransportShape::Brcac).unwrap();
    let sibling = brcac(Software { software_id: uuid::Uuid::new_v4().to_string(), ..software() });
    let elsewhere = brcac(Software { org_id: uuid::Uuid::new_v4().to_string(), ..software() });
    let capitals = brcac(Software { software_id: software().software_id.to_uppercase(), ..software() });
    let padded = brcac(Software { org_id: format!("{} ", software().org_id), ..software() });
    let longer = brcac(Software { org_id: format!("{}0", software().org_id), ..software() });
    let until_2022 = TransportShape::BrcacUntil2022.subject(&software()).unwrap();
    let too_late = PKI.tpp_ca.issue_client(until_2022).unwrap();
    for (name, identity, reason) in [
        ("another third party's", &PKI.other_tpp.brcac, "certificate_of_another_software"),
        ("another software's of the organisation", &sibling, "certificate_of_another_software"),
        ("another organisation's with this software_id", &elsewhere, "certificate_of_another_organisation"),
        ("the id in capitals", &capitals, "certificate_of_another_software"),
        ("the organisation's id and a blank", &padded, "certificate_of_another_organisation"),
        ("the organisation's id and a digit", &longer, "certificate_of_another_organisation"),
        ("an old form, issued today", &too_late, "certificate_of_another_software"),
        ("the UK transport certificate", &PKI.tpp.transport, "certificate_of_another_software"),
        ("the OBWAC", &PKI.tpp.obwac, "certificate_of_another_software"),
    ] {
        // A stolen statement is valid, and so is the request with it.
        let answer = brazil.client(Some(identity)).register(&brazil.request().to_json()).await.unwrap();
        brazil.assert_refused(&answer, 400, reason, name).await;
        assert_eq!(answer.member("error").as_deref(), Some("invalid_software_statement"), "{name}");
    }
    let anonymous = brazil.client(None).register(&brazil.request().to_json()).await.unwrap();
    brazil.assert_refused(&anonymous, 401, "client_certificate_missing", "no certificate").await;
    assert_eq!(brazil.clients().await, "0");
}

#[tokio::test]
async fn nothing_but_the_directorys_fresh_signature_vouches_for_a_software() {
    let brazil = Brazil::open().await;
    let url = brazil.gateway.directory().url();
    let good = || brazil.statement(&PKI.tpp);
    let of_uk = mint::software_statement(&PKI.tpp.software, &url).sign(&PKI.directory).unwrap();
    let own_key = SigningKey::from_pem(&PKI.tpp.signing.to_pem()).unwrap().with_kid(PKI.directory.kid());
    let claims = serde_json::to_string(good().claims()).unwrap();
    for (name, statement, reason) in [
        ("the UK directory's", json!(of_uk), "statement_issuer"),
        ("its own", json!(good().sign(&own_key).unwrap()), "statement_signature"),
        ("an unsigned one", json!(good().unsigned()), "unsigned"),
        ("its claims alone", json!(good().claims()), "statement_missing"),
        ("its claims as text", json!(claims), "jws_malformed"),
        ("a list with a good one", json!([good().sign(&PKI.directory).unwrap()]), "statement_missing"),
        ("none", Value::Null, "statement_missing"),
        (
            "yesterday's",
            json!(good().claim("iat", mint::now() - 86_400).sign(&PKI.directory).unwrap()),
            "statement_too_old",
        ),
        ("without a date", json!(good().without("iat").sign(&PKI.directory).unwrap()), "statement_claim_missing"),
        (
            "keys elsewhere",
            json!(good().claim("software_jwks_uri", "https://thief.example/k").sign(&PKI.directory).unwrap()),
            "key_set_location",
        ),
    ] {
        let request = brazil.request().claim("software_statement", statement).without("jwks_uri");
        brazil.assert_refused(&brazil.tpp().register(&request.to_json()).await.unwrap(), 400, reason, name).await;
    }
    assert_eq!(brazil.clients().await, "0");
}

#[tokio::test]
async fn what_two_readers_would_read_differently_is_no_request() {
    let brazil = Brazil::open().await;
    let good = brazil.request().to_json();
    let rest = good.strip_prefix('{').unwrap();
    let thief = r#""redirect_uris":["https://thief.example/"]"#;
    let post = async |media_type: &'static str, body: Vec<u8>| {
        let tpp = brazil.tpp();
        let post = tpp.request(Method::POST, &tpp.endpoints.registration).header("content-type", media_type);
        tpp.send(post.body(body)).await.unwrap()
    };
    let mut not_utf_8 = good.clone().into_bytes();
    not_utf_8.truncate(not_utf_8.len() - 1);
    not_utf_8.extend(b",\"client_name\":\"\xff\"}");
    for (name, body) in [
        ("a member twice", format!("{{{thief},{rest}")),
        ("a member twice, once escaped", format!(r#"{{"redirect\u005furis":["https://thief.example/"],{rest}"#)),
        ("a member twice, deep inside", format!(r#"{{"x":[{{"a":1,"a":2}}],{rest}"#)),
        ("two objects", format!("{good}{good}")),
        ("a comma too many", format!("{},}}", good.strip_suffix('}').unwrap())),
        ("a comment", format!("/* */{good}")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a NUL behind it", format!("{good}\0")),
        ("half of a character", format!(r#"{{"client_name":"\ud800",{rest}"#)),
        ("no number", format!(r#"{{"x":NaN,{rest}"#)),
        ("a text", serde_json::to_string(&good).unwrap()),
        ("a form", "software_statement=e30.e30.e30".to_owned()),
        ("a signed request", brazil.request().sign(&PKI.tpp.signing).unwrap()),
        ("a statement", brazil.statement(&PKI.tpp).sign(&PKI.directory).unwrap()),
    ] {
        let answer = post("application/json", body.into_bytes()).await;
        brazil.assert_refused(&answer, 400, "request_malformed", name).await;
    }
    brazil.assert_refused(&post("application/json", not_utf_8).await, 400, "request_malformed", "not UTF-8").await;

    let signed = brazil.request().sign(&PKI.tpp.signing).unwrap();
    for (media_type, body) in [
        ("application/jwt", signed.as_str()),
        ("application/jose", &signed),
        ("application/jwt", &good),
        ("text/json", &good),
        ("application/json-patch+json", &good),
        ("application/json, application/jwt", &good),
    ] {
        let answer = post(media_type, body.as_bytes().to_vec()).await;
        brazil.assert_refused(&answer, 400, "media_type_not_json", media_type).await;
    }
    assert_eq!(brazil.clients().await, "0");
}

#[tokio::test]
async fn where_requests_are_signed_an_object_is_none() {
    let gateway = crate::gateway().start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let claims = gateway.registration_request(&PKI.tpp).unwrap().to_json();
    for (media_type, rule) in
        [("application/json", "RG-02"), ("application/jwt", "JO-01"), ("application/jose", "JO-01")]
    {
        let post = tpp.request(Method::POST, &tpp.endpoints.registration).header("content-type", media_type);
        let answer = tpp.send(post.body(claims.clone())).await.unwrap();
        assert_eq!(answer.status, 400, "{media_type}");
        let description = answer.member("error_description").unwrap();
        assert!(description.ends_with(&format!("(rule {rule})")), "{media_type}: {description}");
    }
}

#[tokio::test]
async fn a_registration_access_token_opens_one_registration_to_one_software_and_nothing_else() {
    let brazil = Brazil::open().await;
    let (tpp, client_id, token) = brazil.registered(&PKI.tpp).await;
    let (other, other_id, other_token) = brazil.registered(&PKI.other_tpp).await;

    let stolen = other.retrieve(&client_id, &token).await.unwrap();
    brazil.assert_refused(&stolen, 401, "certificate_not_of_client", "over another's certificate").await;
    let stolen = other.delete(&client_id, &token).await.unwrap();
    brazil.assert_refused(&stolen, 401, "certificate_not_of_client", "over another's certificate").await;
    let bare = brazil.client(None).retrieve(&client_id, &token).await.unwrap();
    brazil.assert_refused(&bare, 401, "token_without_certificate", "without a certificate").await;
    let url = format!("{}?access_token={token}", tpp.endpoints.client(&client_id));
    let in_query = tpp.send(tpp.request(Method::GET, &url)).await.unwrap();
    brazil.assert_refused(&in_query, 400, "token_in_two_places", "in the query").await;
    assert_eq!(tpp.retrieve(&client_id, &token).await.unwrap().status, 200, "the attempt does not revoke the token");

    let access_token = brazil.access_token(&tpp, &client_id).await;
    for answer in [
        tpp.retrieve(&client_id, &access_token).await.unwrap(),
        tpp.update(&client_id, &access_token, &brazil.request().to_json()).await.unwrap(),
        tpp.delete(&client_id, &access_token).await.unwrap(),
    ] {
        brazil.assert_refused(&answer, 401, "token_of_another_kind", "an access token").await;
    }

    // An API behind the gateway that asks the store about tokens can tell these tokens apart: they have no scope and no certificate.
    let introspect = async |token: &str| {
        let url = format!("{}/v1/tokens/introspect", brazil.gateway.store_url());
        tpp.send(tpp.request(Method::POST, &url).form(&[("token", token)])).await.unwrap().json()
    };
    let seen = introspect(&token).await;
    assert_eq!((&seen["active"], &seen["token_use"]), (&json!(true), &json!("registration")));
    assert_eq!((seen.get("scope"), seen.get("cnf"), seen.get("exp")), (None, None, None));
    assert_eq!(introspect(&access_token).await["token_use"], "access");

    // The token does not authenticate the client either.
    let grant = tpp.request(Method::POST, &tpp.endpoints.token).bearer_auth(&token);
    let grant = grant.form(&[("grant_type", "client_credentials"), ("client_id", &client_id)]);
    brazil
        .assert_refused(&tpp.send(grant).await.unwrap(), 401, "basic_authentication_refused", "as a credential")
        .await;
    let as_secret = [("grant_type", "client_credentials"), ("client_id", &client_id), ("client_secret", &token)];
    let answer = tpp.token(&as_secret).await.unwrap();
    brazil.assert_refused(&answer, 401, "authentication_method_not_registered", "as a secret").await;

    // If the token is used for another client's registration, it is revoked. The other registration stays unchanged.
    let foreign = tpp.retrieve(&other_id, &token).await.unwrap();
    brazil.assert_refused(&foreign, 401, "client_of_another", "another's registration").await;
    let own = tpp.retrieve(&client_id, &token).await.unwrap();
    brazil.assert_refused(&own, 401, "token_inactive", "revoked").await;
    assert_eq!(introspect(&token).await, json!({ "active": false }));
    assert_eq!(other.retrieve(&other_id, &other_token).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_update_proves_as_much_as_a_registration() {
    let brazil = Brazil::open().await;
    let (tpp, client_id, token) = brazil.registered(&PKI.tpp).await;
    let others = brazil.statement(&PKI.other_tpp).sign(&PKI.directory).unwrap();
    let old = brazil.statement(&PKI.tpp).claim("iat", mint::now() - 400).sign(&PKI.directory).unwrap();
    let request = || brazil.request();
    for (name, request, reason) in [
        ("no statement", request().without("software_statement"), "statement_missing"),
        ("an old statement", request().claim("software_statement", old), "statement_too_old"),
        ("another's statement", request().claim("software_statement", others), "certificate_of_another_software"),
        ("another's id", request().claim("client_id", "another"), "client_id_mismatch"),
        ("a token of its own choice", request().claim("registration_access_token", "mine"), "server_member_in_update"),
        (
            "a place of its own choice",
            request().claim("registration_client_uri", "https://a.example"),
            "server_member_in_update",
        ),
        ("a date of its own choice", request().claim("client_id_issued_at", 1), "server_member_in_update"),
        ("keys of its own choice", request().claim("jwks", json!({ "keys": [] })), "key_set_in_request"),
        ("another key set", request().claim("jwks_uri", "https://thief.example/k"), "key_set_in_request"),
    ] {
        // The other third party's statement names other redirect URIs and another key set.
        let request = if name == "another's statement" {
            let software = &PKI.other_tpp.brazilian_software;
            request.claim("redirect_uris", json!(software.redirect_uris)).without("jwks_uri")
        } else {
            request
        };
        let answer = tpp.update(&client_id, &token, &request.to_json()).await.unwrap();
        brazil.assert_refused(&answer, 400, reason, name).await;
    }
    let signed = tpp.update(&client_id, &token, &request().sign(&PKI.tpp.signing).unwrap()).await.unwrap();
    brazil.assert_refused(&signed, 400, "media_type_not_json", "a signed request").await;
    let unchanged = tpp.retrieve(&client_id, &token).await.unwrap();
    assert_eq!((unchanged.status, unchanged.member("client_id")), (200, Some(client_id)));
}
