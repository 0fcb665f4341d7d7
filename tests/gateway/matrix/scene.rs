//! One gateway, registered clients, and requests that are accepted until a case breaks one thing.

use dcr_cli::client::Tpp;
use dcr_cli::keys::SigningKey;
use dcr_cli::mint::Token;
use dcr_dev::Gateway;
use dcr_gate::policy::catalogue::RULES;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::PKI;

/// What a request is expected to meet.
pub(crate) struct Case {
    /// What is broken, or still at the edge.
    pub(crate) name: &'static str,
    /// The reason of the refusal; `None` where the request is still accepted.
    pub(crate) reason: Option<&'static str>,
    /// HTTP status.
    pub(crate) status: u16,
    /// The answer's `error`.
    pub(crate) error: Option<&'static str>,
    /// Makes the request.
    pub(crate) shot: Box<dyn Fn(&Scene) -> Shot>,
}

/// One request, by one client.
pub(crate) struct Shot {
    pub(crate) client: Tpp,
    pub(crate) request: RequestBuilder,
}

impl Case {
    /// A request that must be refused.
    pub(crate) fn refused(
        name: &'static str,
        (reason, status, error): (&'static str, u16, &'static str),
        shot: impl Fn(&Scene) -> Shot + 'static,
    ) -> Self {
        Self { name, reason: Some(reason), status, error: Some(error), shot: Box::new(shot) }
    }

    /// A request at the edge that must be accepted.
    pub(crate) fn accepted(name: &'static str, status: u16, shot: impl Fn(&Scene) -> Shot + 'static) -> Self {
        Self { name, reason: None, status, error: None, shot: Box::new(shot) }
    }

    /// The rule's id, for the report.
    pub(crate) fn rule(&self) -> &'static str {
        RULES.iter().find(|rule| Some(rule.reason) == self.reason).map_or("edge", |rule| rule.id)
    }
}

/// One gateway with a client of each authentication method.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    /// The third party, with its legacy transport certificate.
    pub(crate) tpp: Tpp,
    /// The same third party, with its OBWAC.
    pub(crate) obwac: Tpp,
    /// Another third party.
    pub(crate) other: Tpp,
    /// Nobody.
    pub(crate) anonymous: Tpp,
    /// A client registered with `private_key_jwt`, and an access token of it.
    pub(crate) client_id: String,
    pub(crate) access_token: String,
    /// A client registered with `tls_client_auth`.
    pub(crate) tls_client_id: String,
    /// A client registered for the authorization code grant only.
    pub(crate) code_only_client_id: String,
    /// A request and an assertion that were used before.
    pub(crate) used_request: String,
    pub(crate) used_assertion: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let gateway = Gateway::builder(PKI.clone())
            .plugin(json!({ "jwks": { "refetch_interval": "1s" } }))
            .start()
            .await
            .unwrap();
        let client = |identity| gateway.client(identity).unwrap();
        let tpp = client(Some(&PKI.tpp.transport));
        let used_request = gateway.registration_request(&PKI.tpp).unwrap().sign(&PKI.tpp.signing).unwrap();
        let client_id = member(tpp.register(&used_request).await.unwrap(), 201, "client_id");
        let subject = PKI.tpp.transport.subject_dn().unwrap();
        let tls_request = gateway.registration_request(&PKI.tpp).unwrap().for_tls_client_auth(&subject);
        let tls_request = tls_request.sign(&PKI.tpp.signing).unwrap();
        let tls_client_id = member(tpp.register(&tls_request).await.unwrap(), 201, "client_id");
        let code_only =
            gateway.registration_request(&PKI.tpp).unwrap().claim("grant_types", json!(["authorization_code"]));
        let code_only = code_only.sign(&PKI.tpp.signing).unwrap();
        let code_only_client_id = member(tpp.register(&code_only).await.unwrap(), 201, "client_id");
        let used_assertion = gateway.client_assertion(&client_id).sign(&PKI.tpp.signing).unwrap();
        let access_token = member(tpp.token_by_assertion(&used_assertion, None).await.unwrap(), 200, "access_token");
        Self {
            obwac: client(Some(&PKI.tpp.obwac)),
            other: client(Some(&PKI.other_tpp.transport)),
            anonymous: client(None),
            tpp,
            client_id,
            access_token,
            tls_client_id,
            code_only_client_id,
            used_request,
            used_assertion,
            gateway,
        }
    }

    /// Sends the case's request, and says what came out otherwise than expected.
    pub(crate) async fn play(&self, case: &Case) -> Result<(), String> {
        let id = uuid::Uuid::new_v4().to_string();
        let shot = (case.shot)(self);
        let answer =
            shot.client.send(shot.request.header("x-request-id", &id)).await.map_err(|error| error.to_string())?;
        let body = answer.json();
        let error = body.get("error").and_then(Value::as_str);
        if (answer.status, error) != (case.status, case.error) {
            return Err(format!("answered {} {body}", answer.status));
        }
        let logged = self
            .gateway
            .access_logged(|line| line["request_id"] == id.as_str())
            .await
            .map_err(|error| error.to_string())?;
        if logged["dcr_reason"].as_str() != case.reason {
            return Err(format!("the reason is {}", logged["dcr_reason"]));
        }
        match case.reason {
            Some(_) => explained(&body, answer.header("cache-control")),
            None => Ok(()),
        }
    }

    /// A registration request with a fresh statement, not signed yet.
    pub(crate) fn request(&self) -> Token {
        self.gateway.registration_request(&PKI.tpp).unwrap()
    }

    /// A statement, not signed yet.
    pub(crate) fn statement(&self) -> Token {
        self.gateway.software_statement(&PKI.tpp)
    }

    /// A client assertion, not signed yet.
    pub(crate) fn assertion(&self) -> Token {
        self.gateway.client_assertion(&self.client_id)
    }

    /// POST of a registration request as it stands.
    pub(crate) fn post(&self, body: String) -> Shot {
        self.post_by(&self.tpp, body)
    }

    /// The same by somebody else.
    pub(crate) fn post_by(&self, client: &Tpp, body: String) -> Shot {
        let request = client.request(Method::POST, &client.endpoints.registration);
        Shot { client: client.clone(), request: request.header("content-type", "application/jwt").body(body) }
    }

    /// POST of a registration request that carries this statement.
    pub(crate) fn post_statement(&self, statement: String) -> Shot {
        self.post(self.request().claim("software_statement", statement).sign(&PKI.tpp.signing).unwrap())
    }

    /// POST of a token request.
    pub(crate) fn post_form(&self, client: &Tpp, form: &[(&str, &str)]) -> Shot {
        Shot { client: client.clone(), request: client.request(Method::POST, &client.endpoints.token).form(form) }
    }

    /// POST of a token request with this assertion.
    pub(crate) fn post_assertion(&self, assertion: &str) -> Shot {
        self.post_form(
            &self.tpp,
            &[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", dcr_cli::client::JWT_BEARER),
                ("client_assertion", assertion),
            ],
        )
    }

    /// A call of the registered client's own resource.
    pub(crate) fn manage(&self, method: Method, client: &Tpp) -> Shot {
        let request = client.request(method, &client.endpoints.client(&self.client_id));
        Shot { client: client.clone(), request: request.bearer_auth(&self.access_token) }
    }
}

/// A key of the third party under another kid.
pub(crate) fn renamed(key: &SigningKey, kid: &str) -> SigningKey {
    SigningKey::from_pem(&key.to_pem().unwrap()).unwrap().with_kid(kid)
}

/// Exactly `error` and a description that names a rule, and nothing that anybody may keep.
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

fn member(answer: dcr_cli::client::Answer, status: u16, name: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.json());
    answer.member(name).unwrap()
}
