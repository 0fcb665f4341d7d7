//! A client as the store keeps it, made from the gateway's answer to its registration.

use dcr_gate::config::Config;
use dcr_mint::Error;
use dcr_mint::inspect::Inspected;
use dcr_policy::settings::Directory;
use dcr_store_protocol::{Client, Software};
use serde_json::{Map, Value, json};

/// A registered client.
#[derive(Debug, Clone)]
pub(super) struct RegisteredClient {
    /// Its id.
    pub(super) client_id: String,
    software: Software,
    record: Value,
}

impl RegisteredClient {
    /// Reads the answer. Its certificates and keys come from the statement, which was verified at registration and is not verified again.
    ///
    /// # Errors
    /// [`Error::Content`] names the missing member.
    pub(super) fn read(registration: &Value, config: &Config) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::Content { path: "--client".into(), problem: problem.into() };
        let text = |name: &str| {
            let value = registration.get(name).and_then(Value::as_str).map(str::to_owned);
            value.ok_or_else(|| wrong(&format!("has no {name}: give the gateway's answer to registering the client")))
        };
        let (client_id, statement) = (text("client_id")?, text("software_statement")?);
        text("token_endpoint_auth_method")?;
        let claims = Inspected::parse_jws(&statement)?.claims;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let directory = config.settings.directory(issuer);
        let directory = directory
            .ok_or_else(|| wrong("has a software_statement of a directory that the configuration does not list"))?;
        let key_set_uri = key_set_uri(directory, &claims);
        let record = json!({
            "metadata": metadata(registration, directory, &claims),
            "software_statement": statement,
            "issuer": issuer,
            "binding": binding(directory, &claims),
            "key_set_uri": key_set_uri,
            "key_set": directory.dialect.claims.key_set.as_ref().filter(|_| key_set_uri.is_none()).and_then(|name| claims.get(name)),
            "revoked_key_set_uri": directory.dialect.claims.revoked_key_set_uri.as_ref().and_then(|name| claims.get(name)),
        });
        let software_id = claims.get(&directory.dialect.claims.software_id).and_then(Value::as_str).unwrap_or_default();
        let software = Software { issuer: issuer.to_owned(), id: software_id.to_owned() };
        Ok(Self { client_id, software, record })
    }

    /// The store's answer about this client.
    pub(super) fn stored(&self) -> Client<&Value> {
        Client {
            client_id: self.client_id.clone(),
            client_id_issued_at: 0,
            version: 1,
            software: self.software.clone(),
            record: &self.record,
        }
    }
}

/// The registered metadata. Members that do not matter for an assertion may be missing.
fn metadata(registration: &Value, directory: &Directory, claims: &Map<String, Value>) -> Value {
    let mut metadata = json!({
        "redirect_uris": [],
        "grant_types": ["client_credentials"],
        "response_types": [],
        "application_type": "web",
        "scope": "openid",
        "software_id": claims.get(&directory.dialect.claims.software_id),
        "tls_client_certificate_bound_access_tokens": true,
    });
    if let (Some(members), Value::Object(given)) = (metadata.as_object_mut(), registration) {
        members.extend(given.clone());
    }
    metadata
}

fn binding(directory: &Directory, claims: &Map<String, Value>) -> Value {
    let names = &directory.dialect.claims;
    let authority_claims = names.authority_claims.as_ref().and_then(|name| claims.get(name));
    // One object, or an array of objects.
    let entries: Vec<&Value> = match authority_claims {
        Some(Value::Array(entries)) => entries.iter().collect(),
        other => other.into_iter().collect(),
    };
    let is_active = |entry: &&Value| entry.get("status").is_some_and(|status| status == "Active");
    let ids: Vec<&Value> =
        entries.into_iter().filter(is_active).filter_map(|entry| entry.get("registration_id")).collect();
    json!({
        "software_id": claims.get(&names.software_id),
        "organisation_id": claims.get(&names.organisation_id),
        "registration_ids": ids,
    })
}

fn key_set_uri<'c>(directory: &Directory, claims: &'c Map<String, Value>) -> Option<&'c Value> {
    directory.dialect.claims.key_set_uris.iter().find_map(|name| claims.get(name).filter(|uri| !uri.is_null()))
}
