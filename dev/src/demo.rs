//! `dcr-dev demo`: five steps and three refusals. Each is checked.

use std::process::ExitCode;
use std::sync::Arc;

use dcr_dev::installation::project_folder;
use dcr_dev::{Error, Gateway, Ports};
use dcr_mint::Token;
use dcr_mint::inspect::Inspected;
use dcr_mint::pki::Pki;
use dcr_parties::client::{Answer, Tpp};
use serde_json::{Value, json};

use crate::screen;

/// The claims of a registration request that are shown.
const REQUEST: [&str; 7] =
    ["iss", "aud", "scope", "token_endpoint_auth_method", "redirect_uris", "software_statement", STATEMENT_URIS];

/// A claim of the software statement. It is shown below the claims of the request.
const STATEMENT_URIS: &str = "  software_redirect_uris";

/// The members of a registration that are shown.
const REGISTRATION: [&str; 6] =
    ["client_id", "client_id_issued_at", "software_id", "redirect_uris", "scope", "token_endpoint_auth_method"];

/// What a reader can do next, and where it is said.
const NEXT: [(&str, &str); 6] = [
    ("by hand", "make run  serves until Ctrl-C"),
    ("Envoy", "envoy/README.md  envoy/envoy.yaml, whole and with comments"),
    ("Istio", "envoy/README.md  needs headers: forward, or an EnvoyFilter"),
    ("Envoy Gateway", "envoy/README.md  needs headers: forward, or an EnvoyPatchPolicy"),
    ("install", "docs/install.md  packages, images and files of make dist"),
    ("go live", "docs/going-live.md  a list to work through"),
];

/// The state of the demonstration: the number of steps so far, and the steps that failed.
struct Demo {
    gateway: Gateway,
    tpp: Tpp,
    step: usize,
    failed: Vec<String>,
}

/// Starts a gateway, runs through all steps, and stops it. The exit code is 0 only if every step had the expected result.
pub(crate) async fn demo(port: Option<u16>) -> Result<ExitCode, Error> {
    let mut demo = Demo::start(port).await?;

    let client_id = demo.register().await?;
    let access_token = demo.get_a_token(&client_id).await?;
    demo.retrieve(&client_id, &access_token).await?;
    demo.update(&client_id, &access_token).await?;
    demo.delete(&client_id, &access_token).await?;

    screen::subtitle("Three refusals");
    demo.redirect_uri_not_in_the_statement().await?;
    demo.certificate_of_another_party().await?;
    demo.assertion_used_twice().await?;

    Ok(demo.finish())
}

impl Demo {
    async fn start(port: Option<u16>) -> Result<Self, Error> {
        screen::title("dcr-gate: a third party registers through a real Envoy");
        let folder = project_folder().join("target/demo");
        let old = std::fs::remove_dir_all(&folder);
        old.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(|source| Error::System { what: folder.display().to_string(), source })?;

        let pki = Arc::new(Pki::generate()?);
        let ports = Ports { gateway: port, ..Ports::default() };
        let gateway = Gateway::builder(pki.clone()).folder(&folder).ports(ports).start().await?;
        let software = &pki.tpp.software;
        screen::fact("gateway", &format!("{}  Envoy with the filter, mutual TLS", gateway.url()));
        screen::fact("store", &format!("{}  SQLite", gateway.store_url()));
        screen::fact(
            "directory",
            &format!("{}  key sets of the directory and its third parties", gateway.directory().url()),
        );
        screen::fact(
            "TPP",
            &format!("{} of {}, software_id {}", software.client_name, software.org_name, software.software_id),
        );
        screen::fact("files", &format!("{}  configuration, logs", folder.display()));

        let tpp = gateway.client(Some(&pki.tpp.transport))?;
        Ok(Self { gateway, tpp, step: 0, failed: Vec::new() })
    }

    async fn register(&mut self) -> Result<String, Error> {
        self.heading("Register");
        let request = self.gateway.registration_request(&self.gateway.pki().tpp)?;
        let answer = self.post_request(&request, &self.tpp).await?;
        screen::received(&answer);
        show_registration(&answer);

        let software = &self.gateway.pki().tpp.software;
        let client_id = answer.member("client_id").unwrap_or_default();
        let as_told = answer.status == 201
            && !client_id.is_empty()
            && answer.says("redirect_uris", json!(software.redirect_uris))
            && answer.says("software_id", software.software_id.as_str());
        self.judge(
            as_told,
            "registered: the statement, the request, the metadata and the certificate belong together",
            &answer,
        );
        Ok(client_id)
    }

    async fn get_a_token(&mut self, client_id: &str) -> Result<String, Error> {
        self.heading("Get an access token");
        let assertion = self.assertion(client_id)?;
        let answer = self.post_assertion(&assertion, Some("accounts")).await?;
        screen::received(&answer);
        let body = answer.json();
        screen::members(&["access_token", "token_type", "expires_in", "scope"], |name| body.get(name));

        let access_token = answer.member("access_token").unwrap_or_default();
        let as_told = answer.status == 200 && !access_token.is_empty() && answer.says("token_type", "Bearer");
        self.judge(as_told, "a token bound to the transport certificate", &answer);
        Ok(access_token)
    }

    async fn retrieve(&mut self, client_id: &str, access_token: &str) -> Result<(), Error> {
        self.heading("Retrieve");
        screen::sent("GET", &self.tpp.endpoints.client(client_id), "authorization: Bearer, over the same certificate");
        let answer = self.tpp.retrieve(client_id, access_token).await?;
        screen::received(&answer);
        show_registration(&answer);
        let as_told = answer.status == 200 && answer.member("client_id").as_deref() == Some(client_id);
        self.judge(as_told, "the record as it was registered", &answer);
        Ok(())
    }

    async fn update(&mut self, client_id: &str, access_token: &str) -> Result<(), Error> {
        self.heading("Update");
        let party = &self.gateway.pki().tpp;
        let redirect_uris = json!(party.software.redirect_uris.get(..1).unwrap_or_default());
        let request = self.gateway.registration_request(party)?.claim("redirect_uris", redirect_uris.clone());
        let jwt = request.claim("scope", "openid accounts").sign(&party.signing)?;
        screen::sent("PUT", &self.tpp.endpoints.client(client_id), &screen::signature_of(&jwt));
        show_request(&jwt);
        let answer = self.tpp.update(client_id, access_token, &jwt).await?;
        screen::received(&answer);
        show_registration(&answer);

        let as_told = answer.status == 200
            && answer.says("redirect_uris", redirect_uris)
            && answer.says("scope", "openid accounts")
            && answer.says("client_id", client_id);
        self.judge(as_told, "one redirect URI and one scope fewer", &answer);
        Ok(())
    }

    async fn delete(&mut self, client_id: &str, access_token: &str) -> Result<(), Error> {
        self.heading("Delete");
        screen::sent(
            "DELETE",
            &self.tpp.endpoints.client(client_id),
            "authorization: Bearer, over the same certificate",
        );
        let answer = self.tpp.delete(client_id, access_token).await?;
        screen::received(&answer);
        self.judge(answer.status == 204 && answer.body.is_empty(), "deleted", &answer);

        let afterwards = self.tpp.retrieve(client_id, access_token).await?;
        self.judge(afterwards.status == 401, "its token died with it: GET answers 401", &afterwards);
        Ok(())
    }

    async fn redirect_uri_not_in_the_statement(&mut self) -> Result<(), Error> {
        self.heading("A redirect URI that is not in the software statement");
        let request = self.gateway.registration_request(&self.gateway.pki().tpp)?;
        let request = request.claim("redirect_uris", json!(["https://elsewhere.example/callback"]));
        let answer = self.post_request(&request, &self.tpp).await?;
        self.refusal(&answer, 400, "invalid_redirect_uri", "MD-01").await
    }

    async fn certificate_of_another_party(&mut self) -> Result<(), Error> {
        self.heading("Another third party's transport certificate");
        let other = &self.gateway.pki().other_tpp;
        screen::line(&format!("   over the certificate {}", other.transport.subject_dn()?));
        let request = self.gateway.registration_request(&self.gateway.pki().tpp)?;
        let answer = self.post_request(&request, &self.gateway.client(Some(&other.transport))?).await?;
        self.refusal(&answer, 400, "invalid_software_statement", "CB-04").await
    }

    async fn assertion_used_twice(&mut self) -> Result<(), Error> {
        self.heading("A client assertion used twice");
        let party = &self.gateway.pki().tpp;
        let registered = self.tpp.register(&self.gateway.registration_request(party)?.sign(&party.signing)?).await?;
        let client_id = registered.member("client_id").unwrap_or_default();
        self.judge(registered.status == 201, "registered again", &registered);

        let assertion = self.assertion(&client_id)?;
        let first = self.tpp.token_by_assertion(&assertion, None).await?;
        self.judge(first.status == 200, "the first use gives a token", &first);
        let second = self.post_assertion(&assertion, None).await?;
        self.refusal(&second, 401, "invalid_client", "CA-12").await
    }

    /// Stops everything and prints the result.
    fn finish(self) -> ExitCode {
        let reached = self.gateway.backend().requests().len();
        let failed = self.failed.len() + reached;
        drop((self.tpp, self.gateway));
        screen::line("");
        if reached > 0 {
            screen::bad(&format!("{reached} of these requests reached the backend"));
        } else {
            screen::good("none of these requests reached the backend");
        }
        screen::good("Envoy, the store and the directory are stopped");
        screen::line("");
        if failed == 0 {
            screen::line("All went as told. How to go on:");
            for (what, how) in NEXT {
                screen::fact(what, how);
            }
            return ExitCode::SUCCESS;
        }
        for what in self.failed {
            screen::bad(&format!("not as told: {what}"));
        }
        ExitCode::FAILURE
    }

    fn heading(&mut self, text: &str) {
        self.step += 1;
        screen::heading(self.step, text);
    }

    /// Signs a request with the third party's key, prints it and sends it.
    async fn post_request(&self, request: &Token, over: &Tpp) -> Result<Answer, Error> {
        let jwt = request.sign(&self.gateway.pki().tpp.signing)?;
        screen::sent("POST", &over.endpoints.registration, &screen::signature_of(&jwt));
        show_request(&jwt);
        Ok(over.register(&jwt).await?)
    }

    fn assertion(&self, client_id: &str) -> Result<String, Error> {
        Ok(self.gateway.client_assertion(client_id).sign(&self.gateway.pki().tpp.signing)?)
    }

    /// Prints an assertion and sends it to the token endpoint.
    async fn post_assertion(&self, assertion: &str, scope: Option<&str>) -> Result<Answer, Error> {
        let sent = format!("grant_type=client_credentials, {}", screen::signature_of(assertion));
        screen::sent("POST", &self.tpp.endpoints.token, &sent);
        if let Ok(inspected) = Inspected::parse(assertion) {
            screen::members(&["iss", "sub", "aud", "jti"], |name| inspected.claims.get(name));
        }
        Ok(self.tpp.token_by_assertion(assertion, scope).await?)
    }

    /// Prints the reason of a refusal, for the third party and for the operator, and checks that it is the expected one.
    async fn refusal(&mut self, answer: &Answer, status: u16, error: &str, rule: &str) -> Result<(), Error> {
        screen::received(answer);
        let body = answer.json();
        screen::members(&["error", "error_description"], |name| body.get(name));
        let id = answer.header("x-request-id").unwrap_or_default().to_string();
        let logged =
            self.gateway.access_logged(|line| line.get("request_id").is_some_and(|logged| *logged == id)).await?;
        screen::line("     in Envoy's access log");
        screen::members(&["details"], |name| logged.get(name));

        let by_rule = Gateway::broken_rule(&logged).is_some_and(|(broken, _)| broken == rule);
        let as_told = answer.status == status && answer.says("error", error) && by_rule;
        self.judge(as_told, &format!("refused by rule {rule}"), answer);
        Ok(())
    }

    fn judge(&mut self, as_told: bool, what: &str, answer: &Answer) {
        if as_told {
            return screen::good(what);
        }
        screen::bad(&format!(
            "not as told ({what}): {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body).escape_debug()
        ));
        self.failed.push(format!("step {}: {what}", self.step));
    }
}

fn show_request(jwt: &str) {
    let Ok(inspected) = Inspected::parse(jwt) else { return };
    let mut shown = inspected.claims.clone();
    if let Some(statement) = inspected.software_statement() {
        let issuer = statement.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        shown.insert("software_statement".into(), format!("signed by {issuer}").into());
        shown
            .insert(STATEMENT_URIS.into(), statement.claims.get("software_redirect_uris").cloned().unwrap_or_default());
    }
    screen::members(&REQUEST, |name| shown.get(name));
}

fn show_registration(answer: &Answer) {
    let body = answer.json();
    screen::members(&REGISTRATION, |name| body.get(name));
}
