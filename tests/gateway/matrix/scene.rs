//! One gateway, registered clients, and valid requests. Each case breaks one part of a request.

use std::cell::RefCell;
use std::collections::HashMap;

use dcr_cli::client::{Answer, Endpoints, JWT_BEARER, Tpp};
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::Token;
use dcr_cli::pki::Identity;
use dcr_dev::Gateway;
use dcr_policy::catalogue::RULES;
use dcr_policy::profile::{Audience, JsonType, SubjectMember};
use dcr_store_protocol::{Clients, Jti, NewClient, Software, path};
use reqwest::Method;
use serde_json::{Value, json};

use super::dialect::{
    ALTERNATIVE_NAMES, Dialect, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, allows, alternatively_named, by_certificate,
    by_subject, has_registration_tokens, is_unsigned, scopes,
};
use super::jose::KEY_SETS;
use super::{Case, Shot};
use crate::PKI;

/// A gateway with one profile, and a client for each authentication method of the profile.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(super) dialect: Dialect,
    /// The third party, with its transport certificate.
    pub(crate) tpp: Tpp,
    /// The same third party, with a certificate with another subject. In the UK it is its OBWAC, which names the organisation and no
    /// software.
    pub(crate) spare: Tpp,
    /// The same third party, with a certificate that has alternative names. `None` if the profile does not use them.
    pub(crate) named: Option<Tpp>,
    /// Another third party.
    pub(crate) other: Tpp,
    /// A caller without a certificate.
    pub(crate) anonymous: Tpp,
    /// A client registered with `private_key_jwt`, or with `tls_client_auth` if the profile has no other method.
    pub(crate) client_id: String,
    /// The token that manages this client's registration.
    pub(crate) management_token: String,
    /// A token of the other kind, which does not manage the registration.
    pub(crate) other_kind_of_token: String,
    /// An access token of that client for its first scope.
    pub(crate) narrow_token: String,
    /// A client registered with `tls_client_auth`. It is empty if the profile does not have this method.
    pub(crate) tls_client_id: String,
    /// Clients registered with `tls_client_auth`, each with one of the certificate's alternative names.
    pub(crate) named_clients: Vec<(SubjectMember, String)>,
    /// A client registered for the authorization code grant only.
    pub(crate) code_only_client_id: String,
    /// A client registered with the spare certificate.
    pub(crate) spare_client_id: String,
    /// The token that manages that client's registration.
    pub(crate) spare_token: String,
    /// Clients with the key sets of [`KEY_SETS`], by their path. They exist only if requests are not signed.
    pub(crate) clients_of_key_sets: HashMap<&'static str, String>,
    /// A request that was used before.
    pub(crate) used_request: String,
    /// The statement in it.
    pub(crate) used_statement: String,
    /// An assertion that was used before.
    pub(crate) used_assertion: String,
    /// The gateway's answers to the registrations of all these clients, by `client_id`.
    pub(crate) registrations: RefCell<HashMap<String, Value>>,
}

impl Scene {
    /// Starts the gateway and registers its clients. The requests that all cases start from must be accepted. Otherwise the profile asks
    /// for something that its dialect does not have yet.
    pub(crate) async fn new(dialect: Dialect) -> Result<Self, String> {
        // The third party registers again and again. A test in `journeys` checks that a software is registered only once.
        let plugin = json!({
            "profile": dialect.profile.name,
            "jwks": { "refetch_interval": "1s" },
            "registration": { "danger_multiple_registrations": true }
        });
        let directory = json!({ "issuer": dialect.directory() });
        let builder = crate::gateway().plugin(plugin).directory(directory);
        let gateway = builder.start().await.map_err(|error| error.to_string())?;
        for (path, keys) in KEY_SETS {
            gateway.directory().publish(path, json!({ "keys": keys() }));
        }
        let client = |identity: Option<&Identity>| of_profile(&gateway, &dialect, identity);
        let is_named = allows(&dialect.profile, TLS_CLIENT_AUTH)
            && ALTERNATIVE_NAMES
                .iter()
                .any(|(member, _)| dialect.profile.client_metadata.subject_members.contains(member));
        let mut scene = Self {
            tpp: client(Some(dialect.transport(&PKI.tpp))),
            spare: client(Some(&dialect.spare())),
            named: is_named.then(|| client(Some(&alternatively_named()))),
            other: client(Some(dialect.transport(&PKI.other_tpp))),
            anonymous: client(None),
            client_id: String::new(),
            management_token: String::new(),
            other_kind_of_token: String::new(),
            narrow_token: String::new(),
            tls_client_id: String::new(),
            named_clients: Vec::new(),
            code_only_client_id: String::new(),
            spare_client_id: String::new(),
            spare_token: String::new(),
            clients_of_key_sets: HashMap::new(),
            used_request: String::new(),
            used_statement: String::new(),
            used_assertion: String::new(),
            registrations: RefCell::default(),
            gateway,
            dialect,
        };
        scene.register_clients().await?;
        scene.get_tokens().await?;
        Ok(scene)
    }

    async fn register_clients(&mut self) -> Result<(), String> {
        self.used_statement = self.statement().sign(&PKI.directory).unwrap();
        self.used_request = self.body(&self.request_with(&self.used_statement));
        let registration = self.registered(&self.tpp, self.used_request.clone()).await?;
        self.client_id = text(&registration, "client_id");
        self.management_token = text(&registration, "registration_access_token");
        if allows(&self.dialect.profile, TLS_CLIENT_AUTH) {
            let request = self.body(&by_certificate(&self.dialect.profile)(self.request()));
            self.tls_client_id = text(&self.registered(&self.tpp, request).await?, "client_id");
        }
        if let Some(named) = self.named.clone() {
            for (member, name) in ALTERNATIVE_NAMES {
                let request = self.body(&self.by_alternative_name(member, name));
                let client_id = text(&self.registered(&named, request).await?, "client_id");
                self.named_clients.push((member, client_id));
            }
        }
        let code_only =
            self.request().claim("grant_types", json!(["authorization_code"])).claim("response_types", json!(["code"]));
        self.code_only_client_id = text(&self.registered(&self.tpp, self.body(&code_only)).await?, "client_id");
        let over_spare = self.over(&self.dialect.spare(), self.request());
        let registration = self.registered(&self.spare, self.body(&over_spare)).await?;
        self.spare_client_id = text(&registration, "client_id");
        self.spare_token = text(&registration, "registration_access_token");
        if is_unsigned(&self.dialect.profile) {
            for (path, _) in KEY_SETS {
                let request = self.body(&self.request_of_keys(path));
                let client_id = text(&self.registered(&self.tpp, request).await?, "client_id");
                self.clients_of_key_sets.insert(path, client_id);
            }
        }
        Ok(())
    }

    async fn get_tokens(&mut self) -> Result<(), String> {
        self.used_assertion = self.assertion().sign(&PKI.tpp.signing).unwrap();
        let credential = self.credential_with(&self.client_id, &self.used_assertion);
        let access_token = self.token(&self.tpp, &credential).await?;
        let mut narrow = self.credential();
        narrow.push(("scope".to_owned(), scopes(&self.dialect.profile).0[0].clone()));
        self.narrow_token = self.token(&self.tpp, &narrow).await?;
        if has_registration_tokens(&self.dialect.profile) {
            self.other_kind_of_token = access_token;
            return Ok(());
        }
        self.management_token = access_token;
        self.other_kind_of_token = self.registration_token_of_the_store().await?;
        self.spare_token = self.token(&self.spare, &self.credential_of(&self.spare_client_id)).await?;
        Ok(())
    }

    /// A registration access token. A gateway with this profile never requests one from the store.
    async fn registration_token_of_the_store(&self) -> Result<String, String> {
        let client = NewClient {
            request_id: None,
            traceparent: None,
            software: Software { issuer: "another gateway", id: "another" },
            single_registration: false,
            registration_access_token: true,
            consume_jti: Vec::<Jti<&str>>::new(),
            record: json!({}),
        };
        let url = format!("{}{}", self.gateway.store_url(), path::CLIENTS);
        let body = Clients { clients: vec![client] };
        let answer = self.anonymous.send(self.anonymous.request(Method::POST, &url).json(&body)).await.unwrap();
        Ok(text(&starting_point(&answer, 200)?["clients"][0], "registration_access_token"))
    }

    async fn registered(&self, client: &Tpp, request: String) -> Result<Value, String> {
        let shot = self.post_by(client, request);
        let registration = starting_point(&shot.client.send(shot.request).await.unwrap(), 201)?;
        self.registrations.borrow_mut().insert(text(&registration, "client_id"), registration.clone());
        Ok(registration)
    }

    async fn token(&self, client: &Tpp, form: &[(String, String)]) -> Result<String, String> {
        let shot = self.post_form(client, form);
        Ok(text(&starting_point(&shot.client.send(shot.request).await.unwrap(), 200)?, "access_token"))
    }

    /// Sends the requests of all cases in turn. Returns a description of each unexpected result.
    pub(crate) async fn play(&self, cases: &[Case]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut answered = Vec::new();
        for case in cases {
            let id = uuid::Uuid::new_v4().to_string();
            match self.send(case, &id).await {
                Ok(()) => answered.push((id, case)),
                Err(problem) => problems.push((case, problem)),
            }
        }
        let mut reasons = self.logged_reasons(answered.last().map_or("", |(id, _)| id)).await;
        for (id, case) in answered {
            let reason = match reasons.remove(&id) {
                Some(reason) => reason,
                None => self.logged_reasons(&id).await.remove(&id).flatten(),
            };
            if reason.as_deref() != case.reason {
                problems.push((case, format!("the reason is {reason:?} instead of {:?}", case.reason)));
            }
        }
        let of_rule = |case: &Case| case.rule().map_or("accepted", |rule| rule.id);
        problems.into_iter().map(|(case, problem)| format!("{}: {}: {problem}", of_rule(case), case.name)).collect()
    }

    async fn send(&self, case: &Case, id: &str) -> Result<(), String> {
        let shot = (case.shot)(self);
        let answer =
            shot.client.send(shot.request.header("x-request-id", id)).await.map_err(|error| error.to_string())?;
        let body = answer.json();
        let (error, expected) = (body.get("error").and_then(Value::as_str), case.error_in(&self.dialect.profile));
        if (answer.status, error) != (case.status, expected) {
            return Err(format!("answered {} {body} instead of {} {expected:?}", answer.status, case.status));
        }
        if let Some((member, expected)) = case.member.as_ref().filter(|(member, expected)| body[*member] != *expected) {
            return Err(format!("{member} is {} instead of {expected}", body[*member]));
        }
        match case.reason {
            Some(_) => explained(&body, answer.header("cache-control")),
            None => self.dated(&body),
        }
    }

    /// The reasons in the access log by request id, once the log contains this request. Envoy writes several lines at a time, after the
    /// answers.
    async fn logged_reasons(&self, id: &str) -> HashMap<String, Option<String>> {
        self.gateway.access_logged(|line| line["request_id"] == id).await.unwrap();
        let of_line = |line: Value| {
            Some((
                line["request_id"].as_str()?.to_owned(),
                Gateway::broken_rule(&line).map(|(_, reason)| reason.to_owned()),
            ))
        };
        self.gateway.access_log().into_iter().filter_map(of_line).collect()
    }

    /// The answer has the date of the registration in the profile's form (RG-05).
    fn dated(&self, body: &Value) -> Result<(), String> {
        let Some(issued_at) = body.get("client_id_issued_at") else { return Ok(()) };
        let is_right = match self.dialect.profile.answers.client_id_issued_at {
            JsonType::Number => issued_at.is_u64(),
            JsonType::String => issued_at.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
        };
        if is_right { Ok(()) } else { Err(format!("client_id_issued_at is {issued_at}")) }
    }

    /// An unsigned registration request with a new statement.
    pub(crate) fn request(&self) -> Token {
        self.request_with(&self.statement().sign(&PKI.directory).unwrap())
    }

    /// An unsigned registration request with this statement.
    pub(crate) fn request_with(&self, statement: &str) -> Token {
        self.dialect.request(self.dialect.software(&PKI.tpp), self.gateway.url(), statement)
    }

    /// The body of a registration request: the JWT, signed by the third party, or the JSON object.
    pub(crate) fn body(&self, request: &Token) -> String {
        self.body_signed(request, &PKI.tpp.signing)
    }

    fn body_signed(&self, request: &Token, key: &SigningKey) -> String {
        if is_unsigned(&self.dialect.profile) { request.to_json() } else { request.sign(key).unwrap() }
    }

    /// The media type of this body.
    pub(crate) fn media_type(&self) -> &str {
        &self.dialect.profile.registration.media_types[0]
    }

    /// The request for this transport certificate. A client with `tls_client_auth` must name the subject of this certificate.
    pub(crate) fn over(&self, transport: &Identity, request: Token) -> Token {
        if allows(&self.dialect.profile, PRIVATE_KEY_JWT) {
            return request;
        }
        by_subject(&self.dialect.profile)(request, &transport.subject_dn().unwrap())
    }

    /// A registration request for `tls_client_auth` with an alternative name of the certificate.
    pub(crate) fn by_alternative_name(&self, member: SubjectMember, name: &str) -> Token {
        let request = self.request().for_tls_client_auth("").without("tls_client_auth_subject_dn");
        request.claim(member.name(), name)
    }

    /// An unsigned statement.
    pub(crate) fn statement(&self) -> Token {
        self.dialect.statement(self.dialect.software(&PKI.tpp), &self.gateway.directory().url())
    }

    /// An unsigned registration request. Its statement names the key set at this path of the directory's host.
    pub(crate) fn request_of_keys(&self, path: &str) -> Token {
        let claim = &self.dialect.profile.software_statement.claims.key_set_uris[0];
        let statement = self.statement().claim(claim, format!("{}{path}", self.gateway.directory().url()));
        self.request_with(&statement.sign(&PKI.directory).unwrap())
    }

    /// A third party with this certificate.
    pub(crate) fn client(&self, identity: &Identity) -> Tpp {
        of_profile(&self.gateway, &self.dialect, Some(identity))
    }

    /// An unsigned client assertion.
    pub(crate) fn assertion(&self) -> Token {
        self.gateway.client_assertion(&self.client_id)
    }

    /// The value of a name of the gateway.
    pub(crate) fn audience(&self, audience: Audience) -> &str {
        match audience {
            Audience::Issuer => self.gateway.url(),
            Audience::RegistrationEndpoint => &self.tpp.endpoints.registration,
            Audience::TokenEndpoint => &self.tpp.endpoints.token,
        }
    }

    /// POST of a registration request, unchanged.
    pub(crate) fn post(&self, body: String) -> Shot {
        self.post_by(&self.tpp, body)
    }

    /// POST of a registration request by the third party.
    pub(crate) fn post_request(&self, request: &Token) -> Shot {
        self.post(self.body(request))
    }

    /// POST of any claims as a registration request: signed with this key, or as a JSON object if requests are not signed.
    pub(crate) fn post_request_of(&self, claims: &Token, key: &SigningKey) -> Shot {
        self.post(self.body_signed(claims, key))
    }

    /// POST of a registration request by this client.
    pub(crate) fn post_by(&self, client: &Tpp, body: String) -> Shot {
        let request = client.request(Method::POST, &client.endpoints.registration);
        Shot { client: client.clone(), request: request.header("content-type", self.media_type()).body(body) }
    }

    /// POST of a registration request that carries this statement.
    pub(crate) fn post_statement(&self, statement: &str) -> Shot {
        self.post_request(&self.request_with(statement))
    }

    /// POST of a token request.
    pub(crate) fn post_form(&self, client: &Tpp, form: &[(impl AsRef<str>, impl AsRef<str>)]) -> Shot {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        Shot { client: client.clone(), request: client.request(Method::POST, &client.endpoints.token).form(&form) }
    }

    /// POST of a token request with this assertion.
    pub(crate) fn post_assertion(&self, assertion: &str) -> Shot {
        self.post_form(
            &self.tpp,
            &[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion),
            ],
        )
    }

    /// The form with which the client authenticates and requests a token.
    pub(crate) fn credential(&self) -> Vec<(String, String)> {
        self.credential_of(&self.client_id)
    }

    /// The same form for another client of the third party, registered with the same method.
    pub(crate) fn credential_of(&self, client_id: &str) -> Vec<(String, String)> {
        let assertion = self.gateway.client_assertion(client_id).sign(&PKI.tpp.signing).unwrap();
        self.credential_with(client_id, &assertion)
    }

    fn credential_with(&self, client_id: &str, assertion: &str) -> Vec<(String, String)> {
        let form = if allows(&self.dialect.profile, PRIVATE_KEY_JWT) {
            vec![("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]
        } else {
            vec![("client_id", client_id)]
        };
        let form = [("grant_type", "client_credentials")].into_iter().chain(form);
        form.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// A call of the registered client's own resource.
    pub(crate) fn manage(&self, method: Method, client: &Tpp) -> Shot {
        let request = client.request(method, &client.endpoints.client(&self.client_id));
        Shot { client: client.clone(), request: request.bearer_auth(&self.management_token) }
    }
}

/// A key of the third party with another kid.
pub(crate) fn renamed(key: &SigningKey, kid: &str) -> SigningKey {
    SigningKey::from_pem(&key.to_pem()).unwrap().with_kid(kid)
}

/// The answer has exactly `error` and a description that names a rule, and it must not be cached.
fn explained(body: &Value, cache_control: Option<&str>) -> Result<(), String> {
    let members: Vec<&String> = body.as_object().map(|body| body.keys().collect()).unwrap_or_default();
    if members != ["error", "error_description"] {
        return Err(format!("the members are {members:?}"));
    }
    let description = body["error_description"].as_str().unwrap_or_default();
    let names_a_rule = RULES.iter().any(|rule| description.ends_with(&format!("(rule {})", rule.id)));
    if !names_a_rule || !description.is_ascii() || description.contains(['"', '\\', '\r', '\n', '\t']) {
        return Err(format!("the description is {description}"));
    }
    if cache_control == Some("no-store") { Ok(()) } else { Err(format!("cache-control is {cache_control:?}")) }
}

/// A third party that uses the endpoints of this profile.
fn of_profile(gateway: &Gateway, dialect: &Dialect, identity: Option<&Identity>) -> Tpp {
    let mut client = gateway.client(identity).unwrap();
    client.endpoints = Endpoints::at(gateway.url(), &dialect.profile.paths.registration, &dialect.profile.paths.token);
    client
}

/// A request that the cases start from is accepted.
fn starting_point(answer: &Answer, status: u16) -> Result<Value, String> {
    let body = answer.json();
    if answer.status == status {
        return Ok(body);
    }
    Err(format!(
        "what every case starts from is answered {} {body}: teach tests/gateway/matrix/dialect.rs what this profile asks for",
        answer.status,
    ))
}

/// A string member. It is empty if the member is missing.
fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_default().to_owned()
}
