//! Why a signature does not verify, in words for its signer. The gateway tells no caller this much: only who holds the keys may ask.

mod encoding;

use std::fmt::Write;

use dcr_jose::Algorithm;
use dcr_jose::jwk::{KeySet, KeySetLimits, VerificationKey};
use dcr_jose::jws::{Jws, Limits};
use dcr_policy::jwt::ss_02_rq_01_ca_13_form;
use serde_json::Value;

use self::encoding::{Encoding, Hash, Scheme};

/// The octets of a salt with PS256 (RFC 7518 section 3.5).
const PS256_SALT: usize = 32;

/// Whether the signature of a JWS verifies, and why, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whether it verifies with the key that the JWS names, or with any key if it names none.
    pub verifies: bool,
    /// The key that verifies it, or why none does.
    pub said: String,
}

/// Verifies the signature of a compact JWS with the keys of these sets. Of a PS256 signature that does not verify, it says by which scheme
/// it was made, if one of the keys made it.
pub fn verify<'s>(jws: &str, key_sets: impl IntoIterator<Item = &'s Value>) -> Verification {
    match verified(jws, &keys(key_sets)) {
        Ok(said) => Verification { verifies: true, said },
        Err(said) => Verification { verifies: false, said },
    }
}

/// The key that verifies the signature, or why none does.
fn verified(jws: &str, keys: &[VerificationKey]) -> Result<String, String> {
    let limits = Limits { token_bytes: usize::MAX, ..Limits::default() };
    let jws = Jws::parse(jws.as_bytes(), &limits).map_err(|error| format!("the JWS cannot be read: {error}"))?;
    let (alg, kid) = (&jws.header().alg, jws.header().kid.as_deref());
    let Some(algorithm) = Algorithm::from_name(alg) else {
        return Err(format!("its alg is {alg:?}, and only PS256, ES256 and EdDSA are verified"));
    };
    let is_named = |key: &&VerificationKey| kid.is_none() || key.kid() == kid;
    let (named, others): (Vec<_>, Vec<_>) =
        keys.iter().filter(|key| key.algorithm() == algorithm).partition(|key| is_named(key));
    let verifying =
        |keys: &[&VerificationKey]| keys.iter().find(|key| key.verify_jws(&jws).is_ok()).map(|key| name(key));

    if let Some(key) = verifying(&named) {
        return Ok(format!("verifies with {key}"));
    }
    if let Some(key) = verifying(&others) {
        return Err(format!("the signature is from {key}, and the header names the kid {}", quoted(kid)));
    }
    if let Some(form) = ss_02_rq_01_ca_13_form(algorithm, jws.signature()) {
        return Err(form.into());
    }
    if let Some(found) = named.iter().chain(&others).find_map(|key| made_by(key, &jws)) {
        return Err(found);
    }
    if named.is_empty() {
        return Err(match kid {
            Some(_) => format!("no key for {algorithm} with the kid {} is among the keys", quoted(kid)),
            None => format!("no key for {algorithm} is among the keys"),
        });
    }
    Err("the signature is from another key, or the JWT was changed after it was signed".into())
}

fn keys<'s>(key_sets: impl IntoIterator<Item = &'s Value>) -> Vec<VerificationKey> {
    let limits = KeySetLimits { bytes: usize::MAX, keys: usize::MAX, ..KeySetLimits::default() };
    let parsed = key_sets.into_iter().filter_map(|set| KeySet::parse(set.to_string().as_bytes(), &limits).ok());
    parsed.flat_map(|set| set.keys().to_vec()).collect()
}

fn name(key: &VerificationKey) -> String {
    match key.kid() {
        Some(_) => format!("the key {}", quoted(key.kid())),
        None => "a key without kid".into(),
    }
}

/// A name from outside, without characters that control a terminal.
fn quoted(name: Option<&str>) -> String {
    format!("{:?}", name.unwrap_or_default())
}

/// How an RSA signature was made, if this key made it.
fn made_by(key: &VerificationKey, jws: &Jws) -> Option<String> {
    let (scheme, is_of_this) = match encoding::of_signature(key.rsa()?, jws.signing_input(), jws.signature())? {
        Encoding::OfMessage(scheme) => (scheme, true),
        Encoding::OfAnother(scheme) => (scheme, false),
    };
    let mut said = match scheme {
        Scheme::Pkcs1 { hash } => of_pkcs1(hash),
        Scheme::Pss { hash, mask, salt } => of_pss(hash, mask, salt),
    };
    // Writing to a String cannot fail.
    let _ = match (is_of_this, said.is_empty()) {
        (true, _) => write!(said, " (it is from {})", name(key)),
        (false, true) => write!(said, "the signature is from {}, but over another text: {CHANGED}", name(key)),
        (false, false) => write!(said, ". It is from {}, but over another text: {CHANGED}", name(key)),
    };
    Some(said)
}

const CHANGED: &str = "the JWT was changed after it was signed";

fn of_pkcs1(hash: Option<Hash>) -> String {
    let with = hash.map_or(String::new(), |hash| format!(" with {} (RS{})", hash.name(), hash.number()));
    format!(
        "the signature is RSASSA-PKCS1-v1_5{with}, and PS256 wants RSASSA-PSS with SHA-256; the same key can do both"
    )
}

/// The difference from PS256. Empty if there is none.
fn of_pss(hash: Hash, mask: Hash, salt: usize) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    if hash != Hash::Sha256 {
        found.push(hash.name().into());
        wanted.push(Hash::Sha256.name().into());
    }
    if mask != Hash::Sha256 {
        found.push(format!("MGF1 with {}", mask.name()));
        wanted.push(format!("MGF1 with {}", Hash::Sha256.name()));
    }
    if salt != PS256_SALT {
        found.push(format!("a salt of {salt} octets"));
        wanted.push(format!("a salt of {PS256_SALT} octets"));
    }
    if found.is_empty() {
        return String::new();
    }
    format!("the signature is RSASSA-PSS with {}, and PS256 wants {}", listed(&found), listed(&wanted))
}

/// `a, b and c`
fn listed(parts: &[String]) -> String {
    match parts {
        [others @ .., before, last] if !others.is_empty() => format!("{}, {before} and {last}", others.join(", ")),
        parts => parts.join(" and "),
    }
}

#[cfg(test)]
mod tests;
