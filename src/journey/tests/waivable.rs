//! The rules that an operator can set aside (`danger_rules`). Each rule is tested in every profile that asks for it, by a request that
//! breaks only this rule. If the rule is enforced, the request is refused. If the rule is off or in shadow mode, the request passes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use dcr_mint::ecosystem::Ecosystem;
use dcr_mint::pki::TransportShape;
use dcr_mint::software::Software;
use dcr_policy::Document;
use dcr_policy::catalogue::{RULES, Rule, Waivability};
use dcr_policy::dialect::{Dialect, RolesShape};
use dcr_policy::profile::{ManagementToken, Profile, RequestBody, SubjectMember};
use dcr_policy::settings::Settings;
use dcr_test_support::is_quick;

use super::*;
use crate::host::mock::run;

const INTERACTION: &str = "73cac523-d3ae-2289-b106-330a6218710d";
const PRIVATE_KEY_JWT: &str = "private_key_jwt";
const DAY: u64 = 24 * 60 * 60;

/// The id that the store in memory gives to the first client.
const CLIENT_ID: &str = "client-1";

#[test]
fn a_waivable_rule_can_be_set_aside_in_every_profile_that_asks_for_it() {
    let (rules, profiles): (Vec<_>, Vec<_>) = (waivable().collect(), Profile::names().collect());
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let started: Vec<_> = match is_quick() {
            // Each rule in the first profile that asks for it.
            true => rules.chunks(16).map(|rules| scope.spawn(|| Report::of(rules, &profiles, 1))).collect(),
            false => profiles.chunks(1).map(|profile| scope.spawn(|| Report::of(&rules, profile, 1))).collect(),
        };
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let failures: Vec<&str> = reports.iter().flat_map(|report| &report.failures).map(String::as_str).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let asked: BTreeSet<&str> = reports.iter().flat_map(|report| &report.asked).copied().collect();
    let waivable: BTreeSet<&str> = waivable().map(|rule| rule.reason).collect();
    assert_eq!(asked, waivable, "some profile asks for each of them");
}

fn waivable() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().filter(|rule| rule.waivability == Waivability::Waivable)
}

/// The results for one profile.
#[derive(Default)]
struct Report {
    /// The reasons of the waivable rules that the profile asks for.
    asked: Vec<&'static str>,
    failures: Vec<String>,
}

impl Report {
    /// The results of rules, each in as many of the profiles that ask for it as `most` says.
    fn of(rules: &[&'static Rule], profiles: &[&str], most: usize) -> Self {
        let mut report = Self::default();
        for rule in rules {
            let asking = profiles.iter().filter_map(|profile| Some((profile, Scene::that_asks_for(rule, profile)?)));
            for (profile, scene) in asking.take(most) {
                report.asked.push(rule.reason);
                let attempts = scene.attempts(rule.reason);
                let failures: Vec<String> = match attempts.is_empty() {
                    true => vec!["no request of this test breaks it".to_owned()],
                    false => attempts.iter().filter_map(|attempt| scene.try_all_modes(rule, attempt).err()).collect(),
                };
                let named = failures.iter().map(|why| format!("{profile}: {} {}: {why}", rule.id, rule.reason));
                report.failures.extend(named);
            }
        }
        report
    }
}

/// A request that breaks one rule.
struct Attempt {
    /// The place where the rule is broken.
    name: &'static str,
    kind: Kind,
    /// The document in which the rule is broken, if the answer depends on it.
    document: Option<Document>,
    certificate: Identity,
    body: String,
    has_interaction_id: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Registration,
    Update,
    Token,
}

impl Attempt {
    fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn in_document(self, document: Document) -> Self {
        Self { document: Some(document), ..self.named(document.name()) }
    }
}

/// The outcome of an attempt.
struct Outcome {
    answer: Answer,
    denied: Option<Refusal>,
    /// The reasons of each event about rules in shadow mode.
    in_shadow: Vec<Vec<&'static str>>,
    /// The end of each consumed id.
    remembered_until: Vec<u64>,
}

/// A gateway of one profile, and the requests of third parties to it.
struct Scene {
    config: Value,
    settings: Settings,
    ecosystem: Ecosystem,
}

impl Scene {
    /// The scene of a profile. If the rule is optional in the profile, it is switched on. `None` if no request can break it.
    fn that_asks_for(rule: &Rule, profile: &str) -> Option<Self> {
        let ecosystem = match profile {
            "au-cdr" => Ecosystem::Cdr,
            "br-openfinance" => Ecosystem::Brazil,
            _ => Ecosystem::Uk,
        };
        let mut config = config();
        config["profile"] = json!(profile);
        // Each attempt has its own gateway, so no two gateways share key sets.
        config["jwks"] = json!({ "shared_bytes": 0 });
        config["directories"].as_array_mut().unwrap().truncate(1);
        if ecosystem == Ecosystem::Brazil {
            config["directories"][0]["issuer"] = json!(mint::BRAZIL_DIRECTORY_ISSUER);
        }
        let scene = |config: Value, settings| Self { config, settings, ecosystem };
        let settings = Config::from_value(config.clone()).unwrap().settings;
        if rule.is_asked(&settings).is_ok() {
            return Some(scene(config, settings));
        }
        match rule.reason {
            "interaction_id_missing" => {
                config["danger_profile_values"] = json!({ "answers": { "interaction_id": "require" } });
            }
            "software_mode" if settings.profile.software_statement.claims.mode.is_none() => return None,
            reason => config["directories"][0]["statements"] = demand(reason)?,
        }
        let settings = Config::from_value(config.clone()).unwrap().settings;
        rule.is_asked(&settings).is_ok().then(|| scene(config, settings))
    }

    fn profile(&self) -> &Profile {
        &self.settings.profile
    }

    fn dialect(&self) -> &Dialect {
        &self.settings.directories[0].dialect
    }

    /// The requests that break only the rule with this reason.
    fn attempts(&self, reason: &str) -> Vec<Attempt> {
        let (claims, now) = (&self.dialect().claims, mint::now());
        let beyond_skew = now + self.profile().clock_skew.as_secs() + 30;
        let callbacks = PKI.tpp.software.redirect_uris.clone();
        let stating = |claim: &str, value: Value| {
            vec![self.registration(&self.request_with(&self.statement().claim(claim, value)))]
        };
        let asking = |member: &str, value: Value| vec![self.registration(&self.request().claim(member, value))];
        let over = |identity: &Identity| vec![self.registration_over(identity, &self.request())];
        match reason {
            "interaction_id_missing" => [self.registration(&self.request()), self.credential()]
                .map(|attempt| Attempt { has_interaction_id: false, ..attempt })
                .into(),
            "not_yet_valid" => self.in_documents("nbf", beyond_skew, true),
            "issued_in_the_future" => self.in_documents("iat", beyond_skew, false),
            "lifetime_too_long" => {
                let longest = self.profile().registration.max_lifetime.as_secs();
                let ends = [now + longest + 60, now + longest + 3650 * DAY];
                ends.map(|exp| self.registration(&self.request().claim("exp", exp))).into()
            }
            "statement_expired" => stating("exp", json!(now - 60)),
            "statement_too_old" => {
                let oldest = self.dialect().max_age.unwrap().as_secs();
                stating("iat", json!(now - oldest - 10))
            }
            "statement_from_the_future" => stating("iat", json!(beyond_skew)),
            "organisation_not_active" => stating(claims.organisation_status.as_ref().unwrap(), json!("Revoked")),
            "software_roles_missing" => {
                let none = match self.dialect().roles_shape {
                    RolesShape::Array => json!([]),
                    RolesShape::String => json!(""),
                    RolesShape::Objects => {
                        json!([{ "role": "DADOS", "authorisation_domain": "Open Banking", "status": "Inactive" }])
                    }
                };
                let statement = self.statement().claim(&claims.roles, none);
                vec![self.registration(&self.request_with(&statement).without("scope"))]
            }
            "authority_claims_not_active" => {
                stating(claims.authority_claims.as_ref().unwrap(), json!({ "status": "Revoked" }))
            }
            "software_mode" => stating(claims.mode.as_ref().unwrap(), json!("Another")),
            "uri_on_another_host" => {
                let logo = claims.descriptive.get("logo_uri").map_or("logo_uri", String::as_str);
                stating(logo, json!("https://elsewhere.example/logo.png"))
            }
            "request_issuer" => asking("iss", json!("another")),
            "request_audience" => asking("aud", json!("https://other.example")),
            "client_id_mismatch" => vec![self.update(&self.request().claim("client_id", "another"))],
            "server_member_in_update" => vec![self.update(&self.request().claim("registration_access_token", "mine"))],
            "redirect_uri_not_in_statement" => asking("redirect_uris", json!(["https://thief.example/callback"])),
            "redirect_uri_unacceptable" => self.redirect_uris(json!([callbacks[0], "http://harbour.example/callback"])),
            "redirect_uris_too_many" => {
                let many = |uri: &dyn Fn(usize) -> String| (0..33).map(uri).collect::<Vec<String>>();
                let alike = many(&|_| callbacks[0].clone());
                let mut attempts = asking("redirect_uris", json!(alike));
                let different = many(&|number| format!("https://harbour.example/callback/{number}"));
                attempts.extend(self.redirect_uris(json!(different)));
                attempts
            }
            "auth_signing_alg" => asking("token_endpoint_auth_signing_alg", json!("RS256")),
            "subject_dn_not_of_certificate" => {
                let request = self.by_subject(self.request(), &self.transport(&PKI.other_tpp).subject_dn().unwrap());
                vec![self.registration(&request)]
            }
            "grant_types" => {
                asking("grant_types", json!(["authorization_code", "client_credentials", "implicit", "password"]))
            }
            "response_types" => asking("response_types", json!(["token"])),
            "response_type_without_grant" => asking("grant_types", json!(["client_credentials"])),
            "response_type_without_implicit" => {
                let request = self.request().claim("response_types", json!(["code id_token"]));
                vec![
                    self.registration(
                        &request.claim("grant_types", json!(["authorization_code", "client_credentials"])),
                    ),
                ]
            }
            "webhook_uris" => {
                let listed = claims.webhook_uris.as_ref().unwrap();
                let statement = self.statement().claim(listed, json!(["https://harbour.example/webhooks"]));
                let asking = |uris| self.registration(&self.request_with(&statement).claim("webhook_uris", uris));
                vec![asking(json!(["https://elsewhere.example/webhooks"])), asking(json!([]))]
            }
            "software_id_mismatch" => asking("software_id", json!("another")),
            "scope_malformed" => asking("scope", json!("openid ")),
            "scope_beyond_roles" => asking("scope", json!("openid unheard-of")),
            "application_type" => asking("application_type", json!("desktop")),
            "signing_alg_metadata" => asking("id_token_signed_response_alg", json!("RS256")),
            "encryption_metadata" => asking("id_token_encrypted_response_alg", json!("RSA1_5")),
            "encryption_without_alg" => asking("id_token_encrypted_response_enc", json!("A256GCM")),
            "key_set_in_request" => asking("jwks", json!({ "keys": [] })),
            "ciba_metadata" => asking("backchannel_token_delivery_mode", json!("poll")),
            "bound_access_tokens" => asking("tls_client_certificate_bound_access_tokens", json!("true")),
            "certificate_dates" | "transport_certificate_dates" => {
                let expired = if self.ecosystem == Ecosystem::Brazil { &EXPIRED.brcac } else { &EXPIRED.transport };
                over(expired)
            }
            "organisation_certificate_dates" => over(&EXPIRED.obwac),
            "transport_certificate_of_another" => over(&PKI.other_tpp.transport),
            "organisation_certificate_of_another" => over(&PKI.other_tpp.obwac),
            "certificate_of_another_software" => over(&BRCACS.of_another_software),
            "certificate_of_another_organisation" => over(&BRCACS.of_another_organisation),
            // The third party's certificates grant no role, and its key set holds its signing key only.
            "certificate_lacks_role" | "certificate_not_in_key_set" => over(self.transport(&PKI.tpp)),
            _ => Vec::new(),
        }
    }

    /// A claim with this value in each signed document: in the request, in an assertion, and with `of_statements` in the statement.
    fn in_documents(&self, claim: &str, value: u64, of_statements: bool) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        if of_statements {
            let request = self.request_with(&self.statement().claim(claim, value));
            attempts.push(self.registration(&request).in_document(Document::SoftwareStatement));
        }
        if self.profile().registration.body == RequestBody::Jwt {
            let request = self.request().claim(claim, value);
            attempts.push(self.registration(&request).in_document(Document::RegistrationRequest));
        }
        if self.allows(PRIVATE_KEY_JWT) {
            let assertion = mint::client_assertion(CLIENT_ID, ISSUER).claim(claim, value);
            attempts.push(self.assertion(&assertion).in_document(Document::ClientAssertion));
        }
        attempts
    }

    /// These URIs in the statement: the request asks for all of them, or leaves them out, which means all of them.
    fn redirect_uris(&self, uris: Value) -> Vec<Attempt> {
        let statement = self.statement().claim(&self.dialect().claims.redirect_uris, uris.clone());
        let request = self.request_with(&statement);
        let mut attempts = vec![self.registration(&request.clone().claim("redirect_uris", uris)).named("asked for")];
        if !self.profile().client_metadata.redirect_uris_required {
            attempts.push(self.registration(&request.without("redirect_uris")).named("left out"));
        }
        attempts
    }

    fn statement(&self) -> Token {
        self.ecosystem.software_statement(&PKI.tpp, DIRECTORY)
    }

    fn request(&self) -> Token {
        self.request_with(&self.statement())
    }

    /// A request that breaks no rule. It has the default response types and the first application type of the profile.
    fn request_with(&self, statement: &Token) -> Token {
        let rules = &self.profile().client_metadata;
        let statement = statement.sign(&PKI.directory).unwrap();
        let request = self.ecosystem.registration_request(ISSUER, &statement).unwrap();
        let request = request.claim("response_types", json!(rules.default_response_types));
        let request = if rules.application_type_required {
            request.claim("application_type", rules.application_types[0].as_str())
        } else {
            request
        };
        self.over(self.transport(&PKI.tpp), request)
    }

    /// The request over this certificate. If the client authenticates by its certificate, the request names the subject.
    fn over(&self, certificate: &Identity, request: Token) -> Token {
        if self.allows(PRIVATE_KEY_JWT) {
            request
        } else {
            self.by_subject(request, &certificate.subject_dn().unwrap())
        }
    }

    fn by_subject(&self, request: Token, subject: &str) -> Token {
        let member = self.profile().client_metadata.subject_dn_member().name();
        request.for_tls_client_auth(subject).without(SubjectMember::Dn.name()).claim(member, subject)
    }

    fn allows(&self, method: &str) -> bool {
        self.profile().client_metadata.token_endpoint_auth_methods.iter().any(|allowed| allowed == method)
    }

    fn transport<'p>(&self, party: &'p dcr_mint::pki::ThirdParty) -> &'p Identity {
        if self.ecosystem == Ecosystem::Brazil { &party.brcac } else { &party.transport }
    }

    fn registration(&self, request: &Token) -> Attempt {
        self.attempt(Kind::Registration, self.body(request))
    }

    fn registration_over(&self, certificate: &Identity, request: &Token) -> Attempt {
        let request = self.over(certificate, request.clone());
        Attempt { certificate: certificate.clone(), ..self.registration(&request) }
    }

    fn update(&self, request: &Token) -> Attempt {
        self.attempt(Kind::Update, self.body(request))
    }

    fn body(&self, request: &Token) -> String {
        match self.profile().registration.body {
            RequestBody::Jwt => request.sign(&PKI.tpp.signing).unwrap(),
            RequestBody::Json => request.to_json(),
        }
    }

    fn assertion(&self, assertion: &Token) -> Attempt {
        let assertion = assertion.sign(&PKI.tpp.signing).unwrap();
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let form = format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}");
        self.attempt(Kind::Token, form)
    }

    /// A token request by the method that the client registered.
    fn credential(&self) -> Attempt {
        if self.allows(PRIVATE_KEY_JWT) {
            return self.assertion(&mint::client_assertion(CLIENT_ID, ISSUER)).named("a token request");
        }
        let form = format!("grant_type=client_credentials&client_id={CLIENT_ID}");
        self.attempt(Kind::Token, form).named("a token request")
    }

    fn attempt(&self, kind: Kind, body: String) -> Attempt {
        let certificate = self.transport(&PKI.tpp).clone();
        Attempt { name: "the request", kind, document: None, certificate, body, has_interaction_id: true }
    }

    /// The attempt is refused if the rule is enforced, and passes if it is set aside.
    fn try_all_modes(&self, rule: &'static Rule, attempt: &Attempt) -> Result<(), String> {
        let broken = Refusal { document: attempt.document, ..Refusal::by(rule) };
        let refused = self.outcome(attempt, None);
        let body = body(&refused.answer);
        let reason = refused.denied.map(|refusal| refusal.rule.reason);
        let answer = (refused.answer.status, body["error"].as_str(), reason, refused.in_shadow.len());
        let expected = (broken.status(), Some(broken.error_in(self.profile()).as_str()), Some(rule.reason), 0);
        if answer != expected {
            return Err(format!("{}: {answer:?} instead of {expected:?}: {body}", attempt.name));
        }
        for (mode, expected) in [("off", vec![]), ("shadow", vec![vec![rule.reason]])] {
            let passed = self.outcome(attempt, Some(json!({ rule.id: mode })));
            let name = attempt.name;
            if passed.answer.status != attempt.kind.success() {
                return Err(format!(
                    "{name}: {mode}, but the answer is {} {}",
                    passed.answer.status,
                    super::body(&passed.answer)
                ));
            }
            if passed.in_shadow != expected {
                return Err(format!("{name}: {mode}, but {:?} in shadow mode", passed.in_shadow));
            }
            let now = mint::now();
            if passed.remembered_until.iter().any(|end| !(now..now + 366 * DAY).contains(end)) {
                return Err(format!(
                    "{name}: {mode}, but the store does not accept the ends {:?}",
                    passed.remembered_until
                ));
            }
        }
        Ok(())
    }

    /// The outcome of an attempt under these `danger_rules`, at its own gateway. Before an update or a token request, its client is
    /// registered.
    fn outcome(&self, attempt: &Attempt, danger_rules: Option<Value>) -> Outcome {
        let mut config = self.config.clone();
        if let Some(danger_rules) = danger_rules {
            config["danger_rules"] = danger_rules;
        }
        let registration = (attempt.kind != Kind::Registration).then(|| self.registration(&self.request()));
        let registration = registration.map(|registration| self.call(&registration));
        let (call, introspection) = (self.call(attempt), self.introspection());
        run(0, |host| async move {
            let gate = gate_with(&host, config);
            let brazilian = format!("keystore.example{}", PKI.tpp.brazilian_software.application_key_set_path());
            host.key_sets.borrow_mut().insert(brazilian, PKI.tpp.application_key_set().unwrap());
            host.store.borrow_mut().introspection = introspection;
            if let Some((endpoint, request)) = registration {
                let answer = answered(&gate, &endpoint, &request).await;
                assert_eq!((answer.status, &body(&answer)["client_id"]), (201, &json!(CLIENT_ID)));
            }
            host.events.borrow_mut().clear();
            let answer = answered(&gate, &call.0, &call.1).await;
            Outcome::of(answer, &host)
        })
    }

    fn call(&self, attempt: &Attempt) -> (Endpoint, Request) {
        let (endpoint, media_type) = match attempt.kind {
            Kind::Registration => (Endpoint::Register, self.profile().registration.media_types[0].as_str()),
            Kind::Update => {
                (Endpoint::Update(CLIENT_ID.to_owned()), self.profile().registration.media_types[0].as_str())
            }
            Kind::Token => (Endpoint::Token, "application/x-www-form-urlencoded"),
        };
        let mut request = request(media_type, Some(&attempt.certificate), &attempt.body);
        if attempt.kind == Kind::Update {
            request = with_token(request, "the-token");
        }
        if attempt.has_interaction_id {
            request.head.headers.push(("x-fapi-interaction-id".to_owned(), INTERACTION.into()));
        }
        (endpoint, request)
    }

    /// The token by which the client manages its registration.
    fn introspection(&self) -> Value {
        let certificate =
            request("", Some(self.transport(&PKI.tpp)), "").head.certificate.presented().cloned().unwrap();
        let token_use = match self.profile().registration.management_token {
            ManagementToken::AccessToken => "access",
            ManagementToken::RegistrationAccessToken => "registration",
        };
        json!({
            "active": true, "client_id": CLIENT_ID, "token_use": token_use,
            "scope": self.profile().access_token.management_scope,
            "cnf": { "x5t#S256": certificate.thumbprint().x5t_s256() }
        })
    }
}

impl Kind {
    fn success(self) -> u16 {
        match self {
            Self::Registration => 201,
            Self::Update | Self::Token => 200,
        }
    }
}

impl Outcome {
    fn of(answer: Answer, host: &MockHost) -> Self {
        let (mut denied, mut in_shadow) = (None, Vec::new());
        for event in host.events.borrow().iter() {
            match event {
                Event::Denied { refusal, .. } => denied = Some(refusal.clone()),
                Event::ShadowDenied { refusals, .. } => {
                    let mut reasons: Vec<_> = refusals.iter().map(|refusal| refusal.rule.reason).collect();
                    // A rule about both documents may be broken in the statement and in the request.
                    reasons.dedup();
                    in_shadow.push(reasons);
                }
                _ => {}
            }
        }
        let consumed = host.store.borrow().consumed.clone();
        let remembered_until = consumed.iter().map(|id| id["expires_at"].as_u64().unwrap()).collect();
        Self { answer, denied, in_shadow, remembered_until }
    }
}

/// The value of `statements` of a directory that makes the gate check the rule with this reason.
fn demand(reason: &str) -> Option<Value> {
    Some(match reason {
        "statement_too_old" => json!({ "max_age": "5m" }),
        "software_mode" => json!({ "modes": ["Live", "Test"] }),
        "uri_on_another_host" => json!({ "uris_on_redirect_hosts": true }),
        "certificate_lacks_role" => json!({ "certificate_psd2_roles": true }),
        "certificate_not_in_key_set" => json!({ "certificate_in_key_set": true }),
        _ => return None,
    })
}

/// Certificates of the third party that expired a minute ago.
struct Expired {
    transport: Identity,
    obwac: Identity,
    brcac: Identity,
}

static EXPIRED: LazyLock<Expired> = LazyLock::new(|| {
    let expired = |software: &Software, shape: TransportShape| {
        let end = SystemTime::now() - Duration::from_secs(60);
        let subject = shape.subject(software).unwrap();
        PKI.tpp_ca.issue_client_with(subject, |certificate| certificate.not_after = end.into()).unwrap()
    };
    Expired {
        transport: expired(&PKI.tpp.software, TransportShape::ObTransport),
        obwac: expired(&PKI.tpp.software, TransportShape::Obwac),
        brcac: expired(&PKI.tpp.brazilian_software, TransportShape::Brcac),
    }
});

/// Certificates of Open Finance Brasil that differ in one id from the third party's.
struct Brcacs {
    of_another_software: Identity,
    of_another_organisation: Identity,
}

static BRCACS: LazyLock<Brcacs> = LazyLock::new(|| {
    let own = || PKI.tpp.brazilian_software.clone();
    let other = || PKI.other_tpp.brazilian_software.clone();
    let issue = |software: Software| PKI.tpp_ca.issue_transport(&software, TransportShape::Brcac).unwrap();
    Brcacs {
        of_another_software: issue(Software { software_id: other().software_id, ..own() }),
        of_another_organisation: issue(Software { org_id: other().org_id, ..own() }),
    }
});
