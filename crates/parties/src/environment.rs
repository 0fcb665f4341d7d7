//! `gateway.env`: the URLs of a running gateway, as lines `NAME=value` that a shell can source.

use std::collections::HashMap;
use std::path::Path;

use dcr_mint::Error;
use dcr_mint::pki::files::{read_text, write_text};

use crate::client::Endpoints;

/// The values that `make run` writes for its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `GATEWAY_URL`, `ISSUER`, `REGISTRATION_ENDPOINT`, `TOKEN_ENDPOINT`, `DISCOVERY_URL`.
    pub endpoints: Endpoints,
    /// `GATEWAY_URL`: the base URL.
    pub gateway_url: String,
    /// `STORE_URL`
    pub store_url: String,
    /// `ADMIN_URL`: Envoy's admin page.
    pub admin_url: String,
    /// `SOFTWARE_ID` of the third party whose keys are in the same folder.
    pub software_id: String,
    /// `REDIRECT_URI`: the first of its redirect URIs.
    pub redirect_uri: String,
}

impl Environment {
    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let lines = [
            ("GATEWAY_URL", &self.gateway_url),
            ("ISSUER", &self.endpoints.issuer),
            ("REGISTRATION_ENDPOINT", &self.endpoints.registration),
            ("TOKEN_ENDPOINT", &self.endpoints.token),
            ("DISCOVERY_URL", &self.endpoints.discovery),
            ("STORE_URL", &self.store_url),
            ("ADMIN_URL", &self.admin_url),
            ("SOFTWARE_ID", &self.software_id),
            ("REDIRECT_URI", &self.redirect_uri),
        ];
        let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        write_text(path, &text)
    }

    /// Reads the file. Every line must be present.
    pub fn read(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            let problem =
                "not there; start a gateway with `make run`, which writes it, or say which gateway is meant".into();
            return Err(Error::Content { path: path.into(), problem });
        }
        let text = read_text(path)?;
        let values: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| {
            let missing = || Error::Content { path: path.into(), problem: format!("no line `{name}=…`") };
            values.get(name).map(|value| value.trim().to_string()).ok_or_else(missing)
        };
        Ok(Self {
            endpoints: Endpoints {
                issuer: value("ISSUER")?,
                registration: value("REGISTRATION_ENDPOINT")?,
                token: value("TOKEN_ENDPOINT")?,
                discovery: value("DISCOVERY_URL")?,
            },
            gateway_url: value("GATEWAY_URL")?,
            store_url: value("STORE_URL")?,
            admin_url: value("ADMIN_URL")?,
            software_id: value("SOFTWARE_ID")?,
            redirect_uri: value("REDIRECT_URI")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_lacks_is_named() {
        let path = std::env::temp_dir().join(format!("gateway-{}.env", uuid::Uuid::new_v4()));
        let written = Environment {
            endpoints: Endpoints::of("https://localhost:1"),
            gateway_url: "https://localhost:1".into(),
            store_url: "http://127.0.0.1:2".into(),
            admin_url: "http://127.0.0.1:3".into(),
            software_id: "id".into(),
            redirect_uri: "https://tpp.example/?a=b".into(),
        };
        written.write(&path).unwrap();
        assert_eq!(Environment::read(&path).unwrap(), written);
        write_text(&path, "ISSUER=x").unwrap();
        let error = Environment::read(&path).unwrap_err().to_string();
        assert!(error.contains("REGISTRATION_ENDPOINT"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
