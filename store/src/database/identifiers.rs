//! Random values that are made before an operation begins: client ids and tokens. They are the same for every database.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

use super::Failure;

/// A token that was just made.
#[derive(Debug)]
pub(super) struct NewSecret {
    /// The token for its holder, who sees it once: 256 random bits as base64url.
    pub(super) token: String,
    /// The digest that the database keeps.
    pub(super) digest: String,
}

impl NewSecret {
    /// Makes a token.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub(super) fn draw() -> Result<Self, Failure> {
        let token = BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()?);
        Ok(Self { digest: digest(&token), token })
    }
}

/// The SHA-256 digest of a token as base64url. The database keeps only this.
pub(super) fn digest(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Makes a client id: 32 hexadecimal digits. 48 bits are the time in milliseconds, and 80 bits are random.
///
/// Clients that register one after the other are neighbours in the index. So one page of the index is written for all clients of a
/// transaction.
///
/// # Errors
/// The operating system gave no random bytes.
pub(super) fn new_client_id() -> Result<String, Failure> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = u128::from_be_bytes(random_bytes()?) >> 48;
    Ok(format!("{:032x}", time << 80 | random))
}

fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(Failure::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_client_ids_have_their_shape_and_differ() {
        let (one, other) = (NewSecret::draw().unwrap(), NewSecret::draw().unwrap());
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&one.token).unwrap().len(), 32);
        assert_ne!(one.token, other.token);
        assert_eq!(one.digest, digest(&one.token));
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let (one, other) = (new_client_id().unwrap(), new_client_id().unwrap());
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        let ((time, random), (later, more)) = (one.split_at(12), other.split_at(12));
        assert_ne!(random, more);
        assert!(format!("{before:012x}").as_str() <= time && time <= later, "{one} {other}");
    }
}
