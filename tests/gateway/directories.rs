//! The demands of an operator on directories: more than their dialect demands, or two directories with different dialects.

use std::time::Duration;

use dcr_cli::client::{Answer, Endpoints, Tpp};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::{self, BRAZIL_DIRECTORY_ISSUER, DIRECTORY_ISSUER, Token};
use dcr_cli::pki::{Identity, TransportShape};
use dcr_dev::{Gateway, GatewayBuilder};
use dcr_policy::profile::Profile;
use rcgen::CustomExtension;
use serde_json::{Value, json};

use crate::PKI;

/// The longest wait for a condition. It is long, because a machine that builds and tests at the same time is slow.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const BRAZILIAN_KEY_SET: &str = "/brazil.jwks";

/// The request was refused for this reason, as the access log shows.
async fn assert_refused(gateway: &Gateway, answer: &Answer, status: u16, reason: &str, of: &str) {
    assert_eq!(answer.status, status, "{of}: {}", answer.json());
    let id = answer.header("x-request-id").unwrap();
    let logged = gateway.access_logged(|line| line["request_id"] == id).await.unwrap();
    assert_eq!(Gateway::broken_rule(&logged).unwrap().1, reason, "{of}");
}

#[track_caller]
fn assert_registered(answer: &Answer, of: &str) -> String {
    assert_eq!(answer.status, 201, "{of}: {}", answer.json());
    answer.member("client_id").unwrap()
}

#[tokio::test]
async fn an_operator_asks_more_of_statements_than_their_dialect_does() {
    let statements = json!({ "modes": ["Live"], "uris_on_redirect_hosts": true, "single_use": true, "max_age": "5m" });
    let gateway = crate::gateway().directory(json!({ "statements": statements })).start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let live = || gateway.software_statement(&PKI.tpp).claim("software_mode", "Live");
    let signed = |statement: Token| statement.sign(&PKI.directory).unwrap();
    let request = |statement: &str| mint::registration_request(&PKI.tpp.software, gateway.url(), statement);
    let register =
        async |statement: &str| tpp.register(&request(statement).sign(&PKI.tpp.signing).unwrap()).await.unwrap();

    for (name, statement, reason) in [
        ("a test", gateway.software_statement(&PKI.tpp), "software_mode"),
        ("another letter case", live().claim("software_mode", "LIVE"), "software_mode"),
        ("no mode", live().without("software_mode"), "software_mode"),
        (
            "a logo elsewhere",
            live().claim("software_logo_uri", "https://thief.example/logo.png"),
            "uri_on_another_host",
        ),
        ("a host below", live().claim("software_tos_uri", "https://a.harbour.example/tos"), "uri_on_another_host"),
        ("too old", live().claim("iat", mint::now() - 302), "statement_too_old"),
        ("no jti", live().without("jti"), "statement_claim_missing"),
    ] {
        assert_refused(&gateway, &register(&signed(statement)).await, 400, reason, name).await;
    }
    let no_uri = register(&signed(live().claim("software_policy_uri", "harbour.example/policy"))).await;
    assert_registered(&no_uri, "people see no link that is not https");
    assert!(no_uri.json().get("policy_uri").is_none());
    let capitals = live().claim("software_logo_uri", "https://HARBOUR.example:8443/logo.png");
    assert_registered(&register(&signed(capitals)).await, "a host in capitals, another port");
    assert_registered(&register(&signed(live().claim("iat", mint::now() - 290))).await, "nearly too old");

    // A refused request consumes nothing. A registration and an update consume the statement, whichever client sends it.
    let statement = signed(live());
    let beyond = request(&statement).claim("scope", "openid fundsconfirmations").sign(&PKI.tpp.signing).unwrap();
    assert_refused(&gateway, &tpp.register(&beyond).await.unwrap(), 400, "scope_beyond_roles", "refused first").await;
    let client_id = assert_registered(&register(&statement).await, "then good");
    assert_refused(&gateway, &register(&statement).await, 400, "statement_replayed", "used again").await;
    let assertion = gateway.client_assertion(&client_id).sign(&PKI.tpp.signing).unwrap();
    let token = tpp.token_by_assertion(&assertion, None).await.unwrap().member("access_token").unwrap();
    let update = async |statement: &str| {
        tpp.update(&client_id, &token, &request(statement).sign(&PKI.tpp.signing).unwrap()).await.unwrap()
    };
    let next = signed(live());
    assert_refused(&gateway, &update(&statement).await, 400, "statement_replayed", "for an update").await;
    assert_eq!(update(&next).await.status, 200);
    assert_refused(&gateway, &register(&next).await, 400, "statement_replayed", "used by an update").await;

    // Of several requests at the same time, exactly one succeeds.
    let statement = signed(live());
    let answers = futures_util::future::join_all((0..8).map(|_| register(&statement))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400, 400, 400, 400, 400, 400]);
}

/// A gateway with these demands on statements.
async fn asking(statements: Value) -> Gateway {
    let builder = crate::gateway().plugin(json!({ "jwks": { "max_age": "1s" } }));
    builder.directory(json!({ "statements": statements })).start().await.unwrap()
}

async fn register(gateway: &Gateway, identity: &Identity, change: impl Fn(Token) -> Token) -> Answer {
    let statement = change(gateway.software_statement(&PKI.tpp)).sign(&PKI.directory).unwrap();
    let request = mint::registration_request(&PKI.tpp.software, gateway.url(), &statement);
    let tpp = gateway.client(Some(identity)).unwrap();
    tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap()
}

#[tokio::test]
async fn ss_14_a_key_that_the_directory_lists_as_revoked_signs_nothing_any_more() {
    let gateway = asking(json!({ "refuse_revoked_keys": true })).await;
    let transport = &PKI.tpp.transport;
    let home = gateway.software_statement(&PKI.tpp).claims()["software_jwks_revoked_endpoint"].clone();
    let path = home.as_str().unwrap().strip_prefix(&gateway.directory().url()).unwrap().to_owned();
    let answer = register(&gateway, transport, |token| token).await;
    assert_refused(&gateway, &answer, 503, "key_set_unavailable", "no list of revoked keys").await;

    gateway.directory().publish(&path, json!({ "keys": [] }));
    let served = async {
        loop {
            // After a failed fetch, the source is not asked again for a while.
            let answer = register(&gateway, transport, |token| token).await;
            if answer.status != 503 {
                return answer;
            }
        }
    };
    let created = tokio::time::timeout(START_TIMEOUT, served).await.unwrap();
    let client_id = assert_registered(&created, "an empty list");
    let tpp = gateway.client(Some(transport)).unwrap();
    let log_in = async || {
        let assertion = gateway.client_assertion(&client_id).sign(&PKI.tpp.signing).unwrap();
        tpp.token_by_assertion(&assertion, None).await.unwrap()
    };
    assert_eq!(log_in().await.status, 200);

    let elsewhere = |uri: Value| move |token: Token| token.claim("software_jwks_revoked_endpoint", uri.clone());
    for uri in [json!("https://thief.example/none.jwks"), json!("http://localhost/none.jwks"), Value::Null] {
        let answer = register(&gateway, transport, elsewhere(uri.clone())).await;
        assert_refused(&gateway, &answer, 400, "revoked_key_set_location", &uri.to_string()).await;
    }

    let mut key = PKI.tpp.signing.public_jwk();
    key["kid"] = json!("under another name");
    gateway.directory().publish(&path, json!({ "keys": [key] }));
    let refused = async {
        loop {
            let answer = log_in().await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(START_TIMEOUT, refused).await.unwrap();
    assert_refused(&gateway, &answer, 401, "key_revoked", "an assertion").await;
    let answer = register(&gateway, transport, |token| token).await;
    assert_refused(&gateway, &answer, 400, "key_revoked", "a request").await;
}

#[tokio::test]
async fn cb_07_the_software_has_published_its_transport_certificate() {
    let gateway = asking(json!({ "certificate_in_key_set": true })).await;
    let answer = register(&gateway, &PKI.tpp.transport, |token| token).await;
    assert_refused(&gateway, &answer, 400, "certificate_not_in_key_set", "no x5c").await;

    let x5c = |identity: &Identity| -> String {
        identity.certificate_pem.lines().filter(|line| !line.contains("-----")).collect()
    };
    let own = x5c(&PKI.tpp.transport);
    for (name, purpose, chain, accepted) in [
        ("published", "tls", json!([own]), true),
        ("published for signatures", "sig", json!([own]), false),
        ("another's", "tls", json!([x5c(&PKI.other_tpp.transport)]), false),
        ("not the first", "tls", json!([x5c(&PKI.other_tpp.transport), own]), false),
    ] {
        let mut key = PKI.other_tpp.signing.public_jwk();
        (key["use"], key["x5c"]) = (json!(purpose), chain);
        let path = format!("/{}.jwks", name.replace(' ', "-"));
        gateway.directory().publish(&path, json!({ "keys": [PKI.tpp.signing.public_jwk(), key] }));
        let key_set = format!("{}{path}", gateway.directory().url());
        let of_it = |token: Token| token.claim("software_jwks_endpoint", key_set.as_str());
        let answer = register(&gateway, &PKI.tpp.transport, of_it).await;
        if accepted {
            assert_registered(&answer, name);
        } else {
            assert_refused(&gateway, &answer, 400, "certificate_not_in_key_set", name).await;
        }
    }
}

#[tokio::test]
async fn cb_06_the_certificate_grants_the_roles_of_the_statement() {
    let gateway = asking(json!({ "certificate_psd2_roles": true })).await;
    let (payments, accounts) = ((2, "PSP_PI"), (3, "PSP_AI"));
    let roles = |roles: Vec<&'static str>| move |token: Token| token.claim("software_roles", roles.clone());
    let both = || vec!["AISP", "PISP"];
    for (name, granted, wanted, accepted) in [
        ("both", Some(vec![payments, accounts]), both(), true),
        ("both, in the other order", Some(vec![accounts, payments]), both(), true),
        ("one of them", Some(vec![accounts]), both(), false),
        ("that one", Some(vec![accounts]), vec!["PISP"], false),
        ("none", Some(vec![]), both(), false),
        ("no statement at all", None, both(), false),
    ] {
        let subject = TransportShape::Obwac.subject(&PKI.tpp.software).unwrap();
        let extension = granted.as_deref().map(psd2_statement);
        let identity = PKI.tpp_ca.issue_client_with(subject, |params| params.custom_extensions.extend(extension));
        let identity = identity.unwrap();
        let statement = roles(wanted)(gateway.software_statement(&PKI.tpp)).sign(&PKI.directory).unwrap();
        let request = mint::registration_request(&PKI.tpp.software, gateway.url(), &statement).claim("scope", "openid");
        let tpp = gateway.client(Some(&identity)).unwrap();
        let answer = tpp.register(&request.sign(&PKI.tpp.signing).unwrap()).await.unwrap();
        if accepted {
            assert_registered(&answer, name);
        } else {
            assert_refused(&gateway, &answer, 400, "certificate_lacks_role", name).await;
            assert_eq!(answer.member("error").as_deref(), Some("unapproved_software_statement"), "{name}");
        }
    }
}

/// The extension in which a certificate grants PSD2 roles (ETSI TS 119 495 section 5.1). Each role has its number and its name.
fn psd2_statement(roles: &[(u8, &str)]) -> CustomExtension {
    const QC_STATEMENTS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 3];
    // 0.4.0.19495 in DER.
    const ETSI_PSD2: [u8; 5] = [4, 0, 0x81, 0x98, 0x27];
    let (sequence, oid, text) = (0x30, 6, 12);
    let role = |(number, name): &(u8, &str)| {
        let id = der(oid, &[&ETSI_PSD2[..], &[1, *number]].concat());
        der(sequence, &[id, der(text, name.as_bytes())].concat())
    };
    let roles = der(sequence, &roles.iter().flat_map(role).collect::<Vec<u8>>());
    let granted = [roles, der(text, b"Financial Conduct Authority"), der(text, b"GB-FCA")].concat();
    let id = der(oid, &[&ETSI_PSD2[..], &[2]].concat());
    let statement = der(sequence, &[id, der(sequence, &granted)].concat());
    CustomExtension::from_oid_content(&QC_STATEMENTS, der(sequence, &statement))
}

/// A DER value with less than 128 bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 128, "one byte of length");
    [&[tag, length], content].concat()
}

#[tokio::test]
async fn rg_15_an_interaction_id_is_demanded_and_comes_back() {
    let values = json!({ "answers": { "interaction_id": "require" } });
    let builder = crate::gateway().plugin(json!({ "danger_profile_values": values }));
    let gateway = builder.start().await.unwrap();
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let send = async |id: Option<&str>| {
        let request = gateway.registration_request(&PKI.tpp).unwrap().sign(&PKI.tpp.signing).unwrap();
        let post = tpp.request(reqwest::Method::POST, &tpp.endpoints.registration);
        let post = post.header("content-type", "application/jwt").body(request);
        let post = id.into_iter().fold(post, |post, id| post.header("x-fapi-interaction-id", id));
        tpp.send(post).await.unwrap()
    };
    let id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    for bad in [None, Some(""), Some("1"), Some("c770aef3-6784-41f7-8e0e-ff5f97bddb3a-"), Some("<script>")] {
        let answer = send(bad).await;
        assert_refused(&gateway, &answer, 400, "interaction_id_missing", &format!("{bad:?}")).await;
        assert_eq!(answer.header("x-fapi-interaction-id"), None, "{bad:?}");
    }
    let answer = send(Some(id)).await;
    assert_eq!((answer.status, answer.header("x-fapi-interaction-id")), (201, Some(id)));
    assert_eq!(gateway.client(None).unwrap().discover().await.unwrap().status, 200, "the metadata is public");
}

/// A gateway with this profile that accepts the directories of Open Banking and of Open Finance Brasil. Each has its own key.
async fn with_two_directories(profile: &str) -> (Gateway, SigningKey) {
    let (builder, brazil) = two_directories(crate::gateway().plugin(json!({ "profile": profile })));
    let gateway = builder.start().await.unwrap();
    gateway.directory().publish(BRAZILIAN_KEY_SET, json!({ "keys": [brazil.public_jwk()] }));
    (gateway, brazil)
}

fn two_directories(builder: GatewayBuilder) -> (GatewayBuilder, SigningKey) {
    let builder = builder.envoy(|envoy| {
        let mut brazil = envoy.directory()?.clone();
        let home = brazil["jwks_uri"].as_str().unwrap_or_default().trim_end_matches("/openbanking.jwks").to_owned();
        brazil["issuer"] = json!(BRAZIL_DIRECTORY_ISSUER);
        brazil["dialect"] = json!("br-openfinance");
        brazil["jwks_uri"] = json!(format!("{home}{BRAZILIAN_KEY_SET}"));
        envoy.directory()?["dialect"] = json!("uk-obie-3.3");
        let directories = envoy.plugin_configuration()?["directories"].as_array_mut();
        directories.unwrap().push(brazil);
        Ok(())
    });
    (builder, SigningKey::generate_ps256().unwrap())
}

fn client(gateway: &Gateway, profile: &str, identity: &Identity) -> Tpp {
    let mut tpp = gateway.client(Some(identity)).unwrap();
    let paths = Profile::named(profile).unwrap().paths;
    tpp.endpoints = Endpoints::at(gateway.url(), &paths.registration, &paths.token);
    tpp
}

/// A request about the software of one of the directories, in the form of the profile.
struct Party<'g> {
    name: &'static str,
    gateway: &'g Gateway,
    tpp: Tpp,
    brazilian: bool,
}

impl Party<'_> {
    fn statement(&self) -> Token {
        let url = self.gateway.directory().url();
        if self.brazilian {
            mint::brazil_software_statement(&PKI.tpp.brazilian_software, &url)
        } else {
            mint::software_statement(&PKI.tpp.software, &url)
        }
    }

    fn request(&self, profile: &str, statement: &str) -> String {
        let software = if self.brazilian { &PKI.tpp.brazilian_software } else { &PKI.tpp.software };
        if profile == "br-openfinance" {
            return mint::brazil_registration_request(software, statement).to_json();
        }
        let request = mint::registration_request(software, self.gateway.url(), statement);
        request.claim("scope", "openid").sign(&PKI.tpp.signing).unwrap()
    }
}

#[tokio::test]
async fn two_directories_in_two_dialects_and_neither_speaks_for_the_other() {
    for profile in ["uk-obie-3.3", "br-openfinance"] {
        let (gateway, brazil) = with_two_directories(profile).await;
        let party = |name, identity, brazilian| Party {
            name,
            gateway: &gateway,
            tpp: client(&gateway, profile, identity),
            brazilian,
        };
        let (uk, br) = (party("UK", &PKI.tpp.transport, false), party("Brazil", &PKI.tpp.brcac, true));
        let mut clients = Vec::new();
        for (party, own, other, other_issuer) in
            [(&uk, &PKI.directory, &brazil, BRAZIL_DIRECTORY_ISSUER), (&br, &brazil, &PKI.directory, DIRECTORY_ISSUER)]
        {
            let name = format!("{profile}, {}", party.name);
            let register =
                async |statement: String| party.tpp.register(&party.request(profile, &statement)).await.unwrap();
            let created = register(party.statement().sign(own).unwrap()).await;
            clients.push(assert_registered(&created, &name));
            let forged = register(party.statement().sign(other).unwrap()).await;
            assert_refused(&gateway, &forged, 400, "kid_unknown", &format!("{name}: the other's key")).await;
            let renamed = SigningKey::from_pem(&other.to_pem()).unwrap().with_kid(own.kid());
            let forged = register(party.statement().sign(&renamed).unwrap()).await;
            assert_refused(&gateway, &forged, 400, "statement_signature", &format!("{name}: under this kid")).await;
            // A statement of the other directory is read in the other dialect, and it is not about this certificate.
            let swapped = register(party.statement().claim("iss", other_issuer).sign(own).unwrap()).await;
            assert_refused(&gateway, &swapped, 400, "kid_unknown", &format!("{name}: the issuers swapped")).await;
            let swapped = register(party.statement().claim("iss", other_issuer).sign(other).unwrap()).await;
            assert_eq!(swapped.status, 400, "{name}: {}", swapped.json());
        }

        for (party, certificate, reason) in [
            (&uk, &PKI.tpp.brcac, "organisation_certificate_of_another"),
            (&br, &PKI.tpp.transport, "certificate_of_another_software"),
        ] {
            let own = if party.brazilian { &brazil } else { &PKI.directory };
            let statement = party.statement().sign(own).unwrap();
            let answer =
                client(&gateway, profile, certificate).register(&party.request(profile, &statement)).await.unwrap();
            assert_refused(
                &gateway,
                &answer,
                400,
                reason,
                &format!("{profile}, {}: the other's certificate", party.name),
            )
            .await;
        }

        for (party, client_id, foreign) in [(&uk, &clients[0], &br), (&br, &clients[1], &uk)] {
            let assertion = || gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
            let answer = foreign.tpp.token_by_assertion(&assertion(), None).await.unwrap();
            assert_refused(&gateway, &answer, 401, "assertion_over_foreign_certificate", party.name).await;
            let answer = party.tpp.token_by_assertion(&assertion(), None).await.unwrap();
            assert_eq!(answer.status, 200, "{profile}, {}: {}", party.name, answer.json());
        }
    }
}

#[tokio::test]
async fn cm_08_a_registration_does_not_move_to_another_directory() {
    // Both directories have a software product with the same ids. The second directory writes in the dialect of the first.
    let (builder, second) = two_directories(crate::gateway());
    let builder = builder.envoy(|envoy| {
        envoy.plugin_configuration()?["directories"][1]["dialect"] = Value::from("uk-obie-3.3");
        Ok(())
    });
    let gateway = builder.start().await.unwrap();
    gateway.directory().publish(BRAZILIAN_KEY_SET, json!({ "keys": [second.public_jwk()] }));
    let tpp = gateway.client(Some(&PKI.tpp.transport)).unwrap();
    let request = |issuer: &str, key: &SigningKey| {
        let statement = gateway.software_statement(&PKI.tpp).claim("iss", issuer).sign(key).unwrap();
        let request = mint::registration_request(&PKI.tpp.software, gateway.url(), &statement);
        request.sign(&PKI.tpp.signing).unwrap()
    };
    let created = tpp.register(&request(DIRECTORY_ISSUER, &PKI.directory)).await.unwrap();
    let client_id = assert_registered(&created, "the first directory's");
    assert_registered(&tpp.register(&request(BRAZIL_DIRECTORY_ISSUER, &second)).await.unwrap(), "the second's");
    let assertion = gateway.client_assertion(&client_id).sign(&PKI.tpp.signing).unwrap();
    let token = tpp.token_by_assertion(&assertion, None).await.unwrap().member("access_token").unwrap();
    let moved = tpp.update(&client_id, &token, &request(BRAZIL_DIRECTORY_ISSUER, &second)).await.unwrap();
    assert_refused(&gateway, &moved, 400, "software_changed", "moved").await;
    let stayed = tpp.update(&client_id, &token, &request(DIRECTORY_ISSUER, &PKI.directory)).await.unwrap();
    assert_eq!(stayed.status, 200, "{}", stayed.json());
}
