//! The ecosystems that statements and requests can be minted for. Each has its own claims.

use clap::ValueEnum;

use crate::Error;
use crate::inspect::Inspected;
use crate::pki::ThirdParty;
use crate::software::Software;
use crate::token::{self, Token};

/// An ecosystem: the directory that signs software statements, and the claims in statements and registration requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Ecosystem {
    /// Open Banking in the UK
    #[default]
    Uk,
    /// Consumer Data Right in Australia
    Cdr,
    /// Open Finance Brasil
    Brazil,
}

impl Ecosystem {
    /// The ecosystem of a software statement. The claim that names the software's key set shows it. Nothing is verified.
    pub fn of_statement(statement: &str) -> Result<Self, Error> {
        let claims = Inspected::parse_jws(statement)?.claims;
        Ok(if claims.contains_key("software_jwks_uri") {
            Self::Brazil
        } else if claims.contains_key("jwks_uri") {
            Self::Cdr
        } else {
            Self::Uk
        })
    }

    /// A software statement about a third party, with key sets below `directory_url`.
    pub fn software_statement(self, party: &ThirdParty, directory_url: &str) -> Token {
        match self {
            Self::Uk => token::software_statement(&party.software, directory_url),
            Self::Cdr => token::cdr_software_statement(&party.software, directory_url),
            Self::Brazil => token::brazil_software_statement(&party.brazilian_software, directory_url),
        }
    }

    /// A registration request with a statement of this ecosystem. `audience` is the authorization server's issuer; only a signed request
    /// contains it.
    pub fn registration_request(self, audience: &str, statement: &str) -> Result<Token, Error> {
        let software = Software::of_statement(statement)?;
        Ok(match self {
            Self::Uk => token::registration_request(&software, audience, statement),
            Self::Cdr => token::cdr_registration_request(&software, audience, statement),
            Self::Brazil => token::brazil_registration_request(&software, statement),
        })
    }

    /// Whether a registration request is a signed JWT. Otherwise it is a JSON object.
    pub fn signs_requests(self) -> bool {
        match self {
            Self::Uk | Self::Cdr => true,
            Self::Brazil => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;
    use crate::pki::CertificateAuthority;

    #[test]
    fn a_statement_tells_its_ecosystem_and_becomes_a_request_of_it() {
        let software = Software::new("Org", "App", "https://app.example").unwrap();
        let party = ThirdParty::new(software, &CertificateAuthority::new("CA").unwrap()).unwrap();
        for ecosystem in Ecosystem::value_variants() {
            let statement = ecosystem.software_statement(&party, "https://directory.example");
            let statement = statement.sign(&SigningKey::generate_es256()).unwrap();
            assert_eq!(Ecosystem::of_statement(&statement).unwrap(), *ecosystem);
            let request = ecosystem.registration_request("https://bank.example", &statement).unwrap();
            assert_eq!(request.claims()["redirect_uris"], serde_json::json!(party.software.redirect_uris));
            assert_eq!(request.claims().contains_key("aud"), ecosystem.signs_requests(), "{ecosystem:?}");
        }
    }
}
