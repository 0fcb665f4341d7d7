//! The answer to a registration can be sent back as an update (RFC 7592 section 2.2), in every profile and with any of the optional members
//! left out.

use dcr_mint::ecosystem::Ecosystem;
use dcr_policy::profile::{ManagementToken, Profile, RequestBody, SubjectMember};
use dcr_test_support::is_quick;

use super::*;
use crate::host::mock::run;

/// Members that a request may leave out in some profile.
const OPTIONAL: [&str; 12] = [
    "redirect_uris",
    "response_types",
    "application_type",
    "scope",
    "software_id",
    "token_endpoint_auth_signing_alg",
    "token_endpoint_auth_method",
    "grant_types",
    "id_token_signed_response_alg",
    "request_object_signing_alg",
    "authorization_signed_response_alg",
    "tls_client_certificate_bound_access_tokens",
];

/// Values of members that change what other members are when they are left out.
const GRANTS: [&[&str]; 3] = [
    &["client_credentials"],
    &["authorization_code", "client_credentials"],
    &["authorization_code", "client_credentials", "refresh_token", "implicit"],
];

#[test]
fn rg_06_what_is_given_back_can_be_sent_back() {
    let counts: Vec<(usize, u32)> = std::thread::scope(|scope| {
        let profiles: Vec<_> = Profile::names().map(|profile| scope.spawn(move || round_trips(profile))).collect();
        profiles.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (profile, (accepted, optional)) in Profile::names().zip(counts) {
        let is_enough = if is_quick() { accepted == 1 } else { accepted >= 8 && optional >= 4 };
        assert!(is_enough, "{profile}: {accepted} accepted, {optional} members may be left out");
    }
}

/// A statement that holds the keys is answered with `jwks`, which can be sent back like `jwks_uri`.
#[test]
fn rg_06_keys_by_value_can_be_sent_back() {
    for profile in Profile::names().filter(|profile| *profile != "au-cdr") {
        run(0, move |host| async move {
            let scene = Scene::open(host, profile, true);
            for grants in &GRANTS[..2] {
                scene.round_trip(0, grants).await;
            }
            let last = scene.host.store.borrow().clients.values().next().cloned();
            assert!(last.is_some_and(|client| client["record"]["key_set"].is_object()), "{profile}");
        });
    }
}

/// How many requests were accepted, and how many members a request may leave out. Each request that was accepted is updated with its own
/// answer. All combinations of those members are left out.
fn round_trips(profile: &'static str) -> (usize, u32) {
    run(0, move |host| async move {
        let scene = Scene::open(host, profile, false);
        if is_quick() {
            return (usize::from(scene.round_trip(0, GRANTS[1]).await), 0);
        }
        let optional = scene.optional().await;
        let mut accepted = 0;
        for left_out in (0_u32..1 << OPTIONAL.len()).filter(|left_out| left_out & !optional == 0) {
            let [of_this, ..] = turn(left_out);
            accepted += usize::from(scene.round_trip(left_out, of_this).await);
        }
        (accepted, optional.count_ones())
    })
}

/// The grants, beginning with another one for each combination of members.
fn turn(left_out: u32) -> [&'static [&'static str]; 3] {
    let mut grants = GRANTS;
    grants.rotate_left(usize::try_from(left_out.count_ones()).unwrap() % GRANTS.len());
    grants
}

struct Scene {
    gate: Rc<Gate<MockHost>>,
    host: MockHost,
    ecosystem: Ecosystem,
    statement: String,
}

impl Scene {
    /// The gate of this profile, and a statement that holds the keys or names their URL.
    fn open(host: MockHost, profile: &'static str, by_value: bool) -> Self {
        let ecosystem = match profile {
            "au-cdr" => Ecosystem::Cdr,
            "br-openfinance" => Ecosystem::Brazil,
            _ => Ecosystem::Uk,
        };
        let mut document = config();
        document["profile"] = json!(profile);
        document["registration"] = json!({});
        document["directories"].as_array_mut().unwrap().truncate(1);
        if ecosystem == Ecosystem::Brazil {
            document["directories"][0]["issuer"] = json!(mint::BRAZIL_DIRECTORY_ISSUER);
        }
        let mut statement = ecosystem.software_statement(&PKI.tpp, DIRECTORY);
        if by_value {
            document = keys_by_value::by_value(document, profile);
            for name in ["software_jwks_endpoint", "org_jwks_endpoint", "software_jwks_uri"] {
                statement = statement.without(name);
            }
            statement = statement.claim("software_jwks", json!({ "keys": [PKI.tpp.signing.public_jwk()] }));
        }
        let gate = gate_with(&host, document);
        let statement = statement.sign(&PKI.directory).unwrap();
        Self { gate, host, ecosystem, statement }
    }

    /// The members that a request may leave out, as bits.
    async fn optional(&self) -> u32 {
        let mut optional = 0;
        for member in (0..OPTIONAL.len()).map(|place| 1_u32 << place) {
            for grants in GRANTS {
                if self.round_trip(member, grants).await {
                    optional |= member;
                    break;
                }
            }
        }
        optional
    }

    fn profile(&self) -> &Profile {
        &self.gate.config.settings.profile
    }

    fn certificate(&self) -> &'static Identity {
        if self.ecosystem == Ecosystem::Brazil { &PKI.tpp.brcac } else { &PKI.tpp.transport }
    }

    /// The request without those members.
    fn request(&self, left_out: u32, grants: &[&str]) -> Token {
        let rules = &self.profile().client_metadata;
        let request = self.ecosystem.registration_request(ISSUER, &self.statement).unwrap();
        let mut request = request
            .claim("grant_types", json!(grants))
            .claim("response_types", json!([rules.response_types[0]]))
            .claim("application_type", json!(rules.application_types[0]));
        if !rules.token_endpoint_auth_methods.iter().any(|method| method == "private_key_jwt") {
            let subject = self.certificate().subject_dn().unwrap();
            let member = rules.subject_dn_member().name();
            request = request.for_tls_client_auth(&subject).without(SubjectMember::Dn.name()).claim(member, subject);
        }
        let names = OPTIONAL.iter().enumerate().filter(|(place, _)| left_out & (1 << place) != 0);
        names.fold(request, |request, (_, name)| request.without(name))
    }

    /// Whether the request was accepted. If it was, the update with its answer must be accepted too.
    async fn round_trip(&self, left_out: u32, grants: &[&str]) -> bool {
        *self.host.store.borrow_mut() = Default::default();
        // Requests are dated with the time of day, and all of them together take longer than the clock skew.
        self.host.now.set(mint::now());
        let answer = self.send(&Endpoint::Register, &self.request(left_out, grants), None).await;
        if answer.status != 201 {
            return false;
        }
        let registered = body(&answer);
        let client_id = registered["client_id"].as_str().unwrap().to_owned();
        let by_registration_token =
            self.profile().registration.management_token == ManagementToken::RegistrationAccessToken;
        let thumbprint = request("", Some(self.certificate()), "").head.certificate.presented().unwrap().thumbprint();
        self.host.store.borrow_mut().introspection = json!({
            "active": true, "client_id": client_id, "scope": registered["scope"],
            "token_use": if by_registration_token { "registration" } else { "access" },
            "cnf": { "x5t#S256": thumbprint.x5t_s256() }
        });
        let mut update = self.request(0, grants);
        let own: Vec<String> = update.claims().keys().cloned().collect();
        let of_jwt = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
        for name in own.iter().filter(|name| !of_jwt.contains(&name.as_str())) {
            update = update.without(name);
        }
        let of_server =
            ["client_id_issued_at", "client_secret_expires_at", "registration_access_token", "registration_client_uri"];
        for (name, value) in registered.as_object().unwrap() {
            if !of_server.contains(&name.as_str()) && !of_jwt.contains(&name.as_str()) {
                update = update.claim(name, value.clone());
            }
        }
        let answer = self.send(&Endpoint::Update(client_id), &update, Some("token")).await;
        let refused = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{} {left_out:b} {grants:?}: {registered} {refused}", self.profile().name);
        true
    }

    async fn send(&self, endpoint: &Endpoint, token: &Token, bearer: Option<&str>) -> Answer {
        let rules = &self.profile().registration;
        let body = match rules.body {
            RequestBody::Jwt => token.sign(&PKI.tpp.signing).unwrap(),
            RequestBody::Json => token.to_json(),
        };
        let request = request(&rules.media_types[0], Some(self.certificate()), &body);
        let request = match bearer {
            Some(bearer) => with_token(request, bearer),
            None => request,
        };
        answered(&self.gate, endpoint, &request).await
    }
}
