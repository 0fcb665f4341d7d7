//! The software that a third party registers. Its statement, its certificates and its requests share this identity.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::inspect::Inspected;

/// One software product of an organisation, as one directory knows it: Open Banking in the UK, or Open Finance Brasil (see
/// [`Software::in_brazil`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// `software_id` of the statement: 22 letters and digits. It is the CN of a legacy transport certificate. In Brazil it is a UUID and
    /// the UID of the certificate.
    pub software_id: String,
    /// The name that customers see.
    pub client_name: String,
    /// `org_id`: 18 letters and digits. It is the OU of a legacy transport certificate and the CN of an OBWAC. In Brazil it is a UUID at
    /// the end of the certificate's organizationIdentifier.
    pub org_id: String,
    /// The organisation's legal name. It is the O of an OBWAC and of every transport certificate in Brazil.
    pub org_name: String,
    /// The organisation's number at its competent authority, at the end of the organizationIdentifier of an OBWAC. In Brazil it is
    /// `org_number`, the 14 digits of the CNPJ, and the certificate's serialNumber.
    pub registration_id: String,
    /// The URIs to which customers are sent back.
    pub redirect_uris: Vec<String>,
    /// The roles of the organisation: `AISP`, `PISP`, `CBPII`; in Brazil `DADOS`, `PAGTO`.
    pub roles: Vec<String>,
}

impl Software {
    /// A new identity with random ids, with two redirect URIs below `site` (such as `https://harbour.example`), and with the roles AISP and
    /// PISP.
    pub fn new(org_name: &str, client_name: &str, site: &str) -> Result<Self, Error> {
        Ok(Self {
            software_id: random_id(22)?,
            client_name: client_name.into(),
            org_id: format!("00158{}", random_id(13)?),
            org_name: org_name.into(),
            registration_id: random_id(6)?,
            redirect_uris: vec![format!("{site}/callback"), format!("{site}/app/callback")],
            roles: vec!["AISP".into(), "PISP".into()],
        })
    }

    /// The same software in the directory of Open Finance Brasil. It has new ids, which are UUIDs there, a new CNPJ and the roles DADOS and
    /// PAGTO.
    pub fn in_brazil(&self) -> Result<Self, Error> {
        Ok(Self {
            software_id: uuid::Uuid::new_v4().to_string(),
            org_id: uuid::Uuid::new_v4().to_string(),
            registration_id: random_text(DIGITS, 14)?,
            roles: vec!["DADOS".into(), "PAGTO".into()],
            ..self.clone()
        })
    }

    /// The software that a software statement describes. The signature is not verified.
    pub fn of_statement(statement: &str) -> Result<Self, Error> {
        let claims = Value::Object(Inspected::parse_jws(statement)?.claims);
        let text = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).map(str::to_string);
        let texts = |value: Option<&Value>| {
            let values = value.and_then(Value::as_array);
            values.into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
        };
        let software_id = text("/software_id")
            .ok_or_else(|| Error::Token("no `software_id` in it: is it a software statement?".into()))?;
        Ok(Self {
            software_id,
            client_name: text("/software_client_name").or_else(|| text("/client_name")).unwrap_or_default(),
            org_id: text("/org_id").unwrap_or_default(),
            org_name: text("/org_name").unwrap_or_default(),
            registration_id: text("/organisation_competent_authority_claims/registration_id")
                .or_else(|| text("/org_number"))
                .unwrap_or_default(),
            redirect_uris: texts(claims.get("software_redirect_uris").or_else(|| claims.get("redirect_uris"))),
            roles: texts(claims.get("software_roles")),
        })
    }

    /// The path of this software's key set on a directory's host, as in Open Banking's keystore.
    pub fn key_set_path(&self) -> String {
        format!("/{}/{}.jwks", self.org_id, self.software_id)
    }

    /// The path of this software's signing keys on a directory's host, as in Open Finance Brasil's keystore.
    pub fn application_key_set_path(&self) -> String {
        format!("/{}/{}/application.jwks", self.org_id, self.software_id)
    }

    /// The path of this software's transport keys on the same host.
    pub fn transport_key_set_path(&self) -> String {
        format!("/{}/{}/transport.jwks", self.org_id, self.software_id)
    }

    /// The host of its first redirect URI, such as `harbour.example`.
    pub fn host(&self) -> &str {
        let authority = self.redirect_uris.first().and_then(|uri| uri.strip_prefix("https://")?.split('/').next());
        authority.unwrap_or_default()
    }
}

/// Only letters and digits, so that an id needs no escaping in a URL, in JSON or in a distinguished name.
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const DIGITS: &[u8] = b"0123456789";

fn random_id(length: usize) -> Result<String, Error> {
    random_text(LETTERS_AND_DIGITS, length)
}

fn random_text(alphabet: &[u8], length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Key("the system's random generator failed".into()))?;
    // The remainder makes some letters a little more likely. That does no harm, because an id is not a secret.
    let letters = bytes.iter().filter_map(|byte| alphabet.get(usize::from(*byte).checked_rem(alphabet.len())?));
    Ok(letters.copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;
    use crate::token;

    #[test]
    fn a_statement_tells_its_software() {
        let software = Software::new("Org Ltd", "App", "https://app.example").unwrap();
        let statement = token::software_statement(&software, "https://directory.example");
        let statement = statement.sign(&SigningKey::generate_es256()).unwrap();
        assert_eq!(Software::of_statement(&statement).unwrap(), software);
    }

    #[test]
    fn a_brazilian_statement_tells_its_software() {
        let software = Software::new("Org Ltd", "App", "https://app.example").unwrap().in_brazil().unwrap();
        let statement = token::brazil_software_statement(&software, "https://directory.example");
        let statement = statement.sign(&SigningKey::generate_es256()).unwrap();
        assert_eq!(Software::of_statement(&statement).unwrap(), software);
    }

    #[test]
    fn ids_in_brazil_are_uuids_and_the_cnpj_has_14_digits() {
        let software = Software::new("Org Ltd", "App", "https://app.example").unwrap().in_brazil().unwrap();
        for id in [&software.software_id, &software.org_id] {
            assert_eq!(uuid::Uuid::parse_str(id).unwrap().to_string(), *id);
        }
        let cnpj = &software.registration_id;
        assert!(cnpj.len() == 14 && cnpj.bytes().all(|byte| byte.is_ascii_digit()), "{cnpj}");
        assert_eq!(software.host(), "app.example");
    }

    #[test]
    fn ids_have_the_lengths_of_open_banking() {
        let software = Software::new("Org Ltd", "App", "https://app.example").unwrap();
        assert_eq!((software.software_id.len(), software.org_id.len()), (22, 18));
    }
}
