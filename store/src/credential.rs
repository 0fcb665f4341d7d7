//! The credential that callers of the API present: `Authorization: Bearer <credential>` (RFC 6750 section 2.1).

use std::fmt;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const MIN_LENGTH: usize = 32;
const MAX_LENGTH: usize = 512;

/// A shared credential. It is kept as its digest, so that the comparison always has the same length.
#[derive(Clone)]
pub struct Credential {
    digest: [u8; 32],
}

/// Why the content of a credential file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is short enough to guess, or too long for a header.
    #[error("the credential must be 32 to 512 characters long; make one with `openssl rand -hex 32`")]
    Length,
    /// It has characters that a header cannot carry.
    #[error("the credential may hold only letters, digits and `-._~+/=`; make one with `openssl rand -hex 32`")]
    Characters,
}

impl Credential {
    /// Reads the content of a credential file. White space around it, such as the newline at its end, is removed.
    ///
    /// # Errors
    /// It is too short to be safe, or it cannot be sent as a bearer token.
    pub fn parse(content: &str) -> Result<Self, CredentialError> {
        let credential = content.trim();
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&credential.len()) {
            return Err(CredentialError::Length);
        }
        if !credential.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
            return Err(CredentialError::Characters);
        }
        Ok(Self { digest: Sha256::digest(credential).into() })
    }

    /// Whether the request presents this credential exactly once. The comparison takes constant time.
    #[must_use]
    pub fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
        let shown: [u8; 32] = Sha256::digest(shown).into();
        scheme.eq_ignore_ascii_case("Bearer") && self.digest.ct_eq(&shown).into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIAL: &str = "0123456789abcdef0123456789abcdef";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn the_newline_of_the_file_is_not_part_of_the_credential() {
        let credential = Credential::parse(&format!("{CREDENTIAL}\n")).unwrap();
        assert!(credential.is_shown_in(&headers(&[&format!("Bearer {CREDENTIAL}")])));
        assert!(credential.is_shown_in(&headers(&[&format!("bearer {CREDENTIAL}")])));
    }

    #[test]
    fn nothing_but_the_credential_itself_is_taken() {
        let credential = Credential::parse(CREDENTIAL).unwrap();
        let right = format!("Bearer {CREDENTIAL}");
        for wrong in [
            headers(&[]),
            headers(&["Bearer"]),
            headers(&["Bearer "]),
            headers(&[CREDENTIAL]),
            headers(&[&format!("Basic {CREDENTIAL}")]),
            headers(&[&format!("{right}0")]),
            headers(&[&format!("Bearer  {CREDENTIAL}")]),
            headers(&[&right.to_uppercase()]),
            headers(&[&right, &right]),
        ] {
            assert!(!credential.is_shown_in(&wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_weak_or_unsendable_credential_is_refused() {
        assert_eq!(Credential::parse("secret\n").unwrap_err(), CredentialError::Length);
        assert_eq!(Credential::parse("").unwrap_err(), CredentialError::Length);
        assert_eq!(Credential::parse(&"a".repeat(513)).unwrap_err(), CredentialError::Length);
        assert_eq!(Credential::parse(&CREDENTIAL.replace('1', " ")).unwrap_err(), CredentialError::Characters);
        assert_eq!(Credential::parse(&CREDENTIAL.replace('1', "é")).unwrap_err(), CredentialError::Characters);
    }

    #[test]
    fn debug_output_does_not_show_it() {
        assert_eq!(format!("{:?}", Credential::parse(CREDENTIAL).unwrap()), "Credential(..)");
    }
}
