//! The parts that all signed documents share: the JOSE rules that need no key, the signature, and the common claims.

use std::borrow::Cow;
use std::rc::Rc;

use dcr_jose::Algorithm;
use dcr_jose::jwk::{KeySet, SelectError, Signer, Unfit, VerificationKey};
use dcr_jose::jws::{self, Header, Jws, JwsError};
use dcr_json as json;
use serde_json::{Map, Value};

use super::catalogue::{
    CA_13, JO_01, JO_01_LENGTH, JO_02, JO_03, JO_04, JO_05, JO_10, JO_11, JO_12, JO_13, JO_14, JO_15, JO_16,
    JO_16_KIND, JO_16_NUMBERS, JO_16_PRIVATE, JO_17, JO_18, JO_18_MISSING, JW_01, JW_02, JW_02_FRACTION, JW_03, JW_04,
    JW_05, JW_07, RQ_01, SS_02,
};
use super::dialect::HeaderMember;
use super::settings::Settings;
use super::{Document, Evaluation, Refusal, Rule, Timestamp};

/// The last second of the year 9999. A later date is wrong, or it is in milliseconds.
const LATEST_DATE: f64 = 253_402_300_799.0;

/// A signed document whose signature has not been verified. Only what is needed to find its key may be read.
#[derive(Debug)]
pub struct Unverified {
    jws: Jws,
    algorithm: Algorithm,
    claims: Claims,
}

/// A signed document whose signature verified under a key of the right key set.
#[derive(Debug)]
pub struct Verified {
    claims: Claims,
    token: Rc<str>,
    key: Signer,
}

/// The proof that the signature of one token verified. [`Unverified::verified_before`] accepts it later in place of a second check. The
/// caller that keeps a proof must also keep which key set verified the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureProof {
    digest: [u8; 32],
    signature: Rc<[u8]>,
    key: Signer,
}

/// Why a signature could not be verified.
#[derive(Debug)]
pub struct Unverifiable {
    /// The refusal, unless a newer key set helps.
    pub refusal: Refusal,
    /// Whether the signer may have published a new key that the key set at hand does not hold yet.
    pub key_set_may_be_old: bool,
}

/// The id of a token that may be used once (RFC 7519 section 4.1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jti {
    /// The claim `jti`.
    pub jti: String,
    /// The end of the time in which the token could be accepted. The store must remember the id until then.
    pub expires_at: Timestamp,
}

/// The claims of a document, with the types that the rules ask for.
#[derive(Debug, Clone)]
pub struct Claims {
    document: Document,
    members: Rc<Map<String, Value>>,
}

impl Unverified {
    /// Reads a compact JWS as a `document`: format, header, algorithm and claims as JSON (JO-01 to JO-18, JW-01). The signature is not
    /// verified.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn open(
        document: Document,
        token: &[u8],
        settings: &Settings,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        evaluation.require(&SHAPE, Self::read(document, token, settings))
    }

    /// The header has these members (JO-14, JO-18).
    ///
    /// # Errors
    /// JO-14 or JO-18.
    pub fn require_header(&self, required: &[HeaderMember], evaluation: &Evaluation) -> Result<(), Refusal> {
        evaluation.require(&[&JO_14, &JO_18_MISSING], self.jo_14_jo_18_required_header(required))
    }

    fn read(document: Document, token: &[u8], settings: &Settings) -> Result<Self, Refusal> {
        let Settings { profile, limits, .. } = settings;
        let refuse = |rule| Refusal::by(rule).in_document(document);
        let jws_limits = jws::Limits { token_bytes: limits.jwt_bytes, json_depth: limits.json_depth };
        let jws = Jws::parse(token, &jws_limits).map_err(|error| refuse(jose_rule(&error, document)))?;
        let header = jws.header();
        let algorithm =
            jo_05_algorithm(header, &profile.signing_algorithms).ok_or_else(|| refuse(&JO_05).claim("alg"))?;
        jo_12_key_in_header(header).map_err(|member| refuse(&JO_12).claim(member))?;
        jo_18_typ(header, document).map_err(|()| refuse(&JO_18).claim("typ"))?;
        let members = jw_01_claims(jws.payload(), limits.json_depth).ok_or_else(|| refuse(&JW_01))?;
        let claims = Claims::of(document, members);
        if !profile.fractional_dates {
            claims.jw_02_whole_dates()?;
        }
        Ok(Self { jws, algorithm, claims })
    }

    fn jo_14_jo_18_required_header(&self, required: &[HeaderMember]) -> Result<(), Refusal> {
        let header = self.jws.header();
        if required.contains(&HeaderMember::Kid) && header.kid.is_none() {
            return Err(self.claims.refuse(&JO_14, "kid"));
        }
        if required.contains(&HeaderMember::Typ) && header.typ.is_none() {
            return Err(self.claims.refuse(&JO_18_MISSING, "typ"));
        }
        Ok(())
    }

    /// Verifies the signature with the signer's key set (JO-13 to JO-16). `before_each` is called before each signature check, because
    /// these checks take the most time.
    ///
    /// # Errors
    /// [`Unverifiable`]: why the signature does not verify, and whether a newer key set may help.
    pub fn verify(&self, keys: &KeySet, before_each: impl Fn()) -> Result<Verified, Unverifiable> {
        let refuse = |rule: &'static Rule, key_set_may_be_old| Unverifiable {
            refusal: Refusal::by(rule).in_document(self.claims.document),
            key_set_may_be_old,
        };
        let kid = self.jws.header().kid.as_deref();
        let rule = signature_rule(self.claims.document);
        let candidates = keys.select(kid, self.algorithm).map_err(|error| match error {
            SelectError::UnknownKid => refuse(&JO_13, true),
            SelectError::Ambiguous => refuse(&JO_15, false),
            SelectError::TooMany => refuse(&JO_14, false),
            SelectError::Unfit(unfit) => refuse(jo_16_rule(unfit), false),
            SelectError::NoneFits => refuse(&JO_16, true),
        })?;
        let key = self
            .ss_02_rq_01_ca_13_signer(candidates, before_each)
            // The token names no kid. It may be signed with a key that was published after the last fetch.
            .ok_or_else(|| refuse(rule, kid.is_none()))
            .map_err(|unverifiable| match ss_02_rq_01_ca_13_form(self.algorithm, self.jws.signature()) {
                Some(detail) => Unverifiable { refusal: unverifiable.refusal.detail(detail), ..unverifiable },
                None => unverifiable,
            })?;
        Ok(self.verified_by(key.signer()))
    }

    /// The first of these keys that verifies the signature.
    fn ss_02_rq_01_ca_13_signer<'k>(
        &self,
        candidates: Vec<&'k VerificationKey>,
        before_each: impl Fn(),
    ) -> Option<&'k VerificationKey> {
        candidates.into_iter().find(|key| {
            before_each();
            key.verify_jws(&self.jws).is_ok()
        })
    }

    /// SHA-256 of the signed part: the whole token without its signature.
    pub fn digest(&self) -> &[u8; 32] {
        self.jws.signing_digest()
    }

    /// The proof of `verified`, for keeping. `None` if `verified` was made from another token.
    pub fn proof(&self, verified: &Verified) -> Option<SignatureProof> {
        let is_of_this = verified.token == *self.jws.compact();
        is_of_this.then(|| SignatureProof {
            digest: *self.digest(),
            signature: self.jws.signature().clone(),
            key: verified.key.clone(),
        })
    }

    /// The verified token, if `proof` was made for this token with this signature. The caller must make sure that the key set is still the
    /// one under which the proof was made.
    pub fn verified_before(&self, proof: &SignatureProof) -> Option<Verified> {
        let is_about_this = proof.digest == *self.digest() && proof.signature == *self.jws.signature();
        is_about_this.then(|| self.verified_by(proof.key.clone()))
    }

    fn verified_by(&self, key: Signer) -> Verified {
        Verified { claims: self.claims.clone(), token: self.jws.compact().clone(), key }
    }

    /// The claims. They are not verified yet: use them only to find the signer's key set, and to refuse early.
    pub fn unverified_claims(&self) -> &Claims {
        &self.claims
    }

    /// The kind of document.
    pub fn document(&self) -> Document {
        self.claims.document
    }

    /// The algorithm in the header. It is one of the allowed algorithms.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The header. It is not verified yet.
    pub fn header(&self) -> &Header {
        self.jws.header()
    }
}

impl Verified {
    /// The claims that were signed.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims that were signed, without the rest of the document.
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// The key that verified the signature. SS-14 checks whether that key is revoked.
    pub fn key(&self) -> &Signer {
        &self.key
    }

    /// The token as it was sent, and its claims.
    pub fn into_parts(self) -> (Rc<str>, Rc<Map<String, Value>>) {
        (self.token, self.claims.members)
    }
}

impl Claims {
    /// The members of a document.
    pub fn of(document: Document, members: Map<String, Value>) -> Self {
        Self { document, members: Rc::new(members) }
    }

    /// The same claims without those that are null.
    #[must_use]
    pub fn without_nulls(&self) -> Self {
        let kept = self.members.iter().filter(|(_, value)| !value.is_null());
        Self::of(self.document, kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The kind of document.
    pub fn document(&self) -> Document {
        self.document
    }

    /// The value of a claim, unchanged. `None` if the claim is absent or null (SS-17: optional claims may be null).
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// All members, in the order of the signed text.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The value of a claim that is a string. `None` if the claim is absent or has another type.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The dates have no fraction of a second (JW-02).
    fn jw_02_whole_dates(&self) -> Result<(), Refusal> {
        let has_fraction = |name: &&str| self.get(name).and_then(Value::as_f64).is_some_and(|date| date.fract() != 0.0);
        match ["iat", "nbf", "exp"].into_iter().find(has_fraction) {
            Some(name) => Err(self.refuse(&JW_02_FRACTION, name)),
            None => Ok(()),
        }
    }

    /// A NumericDate in whole seconds (JW-02). The value counts and not its spelling: `1795000000.0` and `1.795e9` are whole numbers. A
    /// fraction of a second is cut off.
    ///
    /// # Errors
    /// JW-02 if the claim is present, but is not a date between 1970 and 9999.
    pub fn jw_02_date(&self, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_f64()
            .filter(|seconds| (0.0..=LATEST_DATE).contains(seconds))
            .map(|seconds| Some(whole_seconds(seconds)))
            .ok_or_else(|| self.refuse(&JW_02, name))
    }

    /// `exp` is in the future, if it is present (JW-03). There is no tolerance, because the signer chose the time.
    ///
    /// # Errors
    /// JW-02 or JW-03.
    pub fn jw_03_not_expired(&self, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        let exp = self.jw_02_date("exp")?;
        if exp.is_some_and(|exp| exp <= now) { Err(self.refuse(&JW_03, "exp")) } else { Ok(exp) }
    }

    /// `nbf` is at most `skew` seconds in the future, if it is present (JW-04).
    ///
    /// # Errors
    /// JW-02 or JW-04.
    pub fn jw_04_already_valid(&self, now: Timestamp, skew: u64) -> Result<(), Refusal> {
        match self.jw_02_date("nbf")? {
            Some(nbf) if nbf > now.saturating_add(skew) => Err(self.refuse(&JW_04, "nbf")),
            _ => Ok(()),
        }
    }

    /// `iat` is at most `skew` seconds in the future, if it is present (JW-05).
    ///
    /// # Errors
    /// JW-02 or JW-05.
    pub fn jw_05_already_issued(&self, now: Timestamp, skew: u64) -> Result<Option<Timestamp>, Refusal> {
        match self.jw_02_date("iat")? {
            Some(iat) if iat > now.saturating_add(skew) => Err(self.refuse(&JW_05, "iat")),
            iat => Ok(iat),
        }
    }

    /// The first of the `accepted` audiences that `aud` names, compared octet by octet (JW-07). `None` if `aud` is absent or names only
    /// others.
    ///
    /// # Errors
    /// JW-07 if `aud` is neither a string nor an array of strings.
    pub fn jw_07_named_audience<'a>(&self, accepted: &'a [String]) -> Result<Option<&'a str>, Refusal> {
        let audiences = match self.members.get("aud") {
            None => return Ok(None),
            Some(Value::String(audience)) => vec![audience.as_str()],
            Some(Value::Array(audiences)) if audiences.iter().all(Value::is_string) => {
                audiences.iter().filter_map(Value::as_str).collect()
            }
            Some(_) => return Err(self.refuse(&JW_07, "aud")),
        };
        Ok(accepted.iter().map(String::as_str).find(|known| audiences.contains(known)))
    }

    /// A refusal by `rule` for a `claim` of this document.
    pub fn refuse(&self, rule: &'static Rule, claim: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::by(rule).in_document(self.document).claim(claim)
    }
}

/// The rules that opening a JWS checks, in this order.
const SHAPE: [&Rule; 13] = [
    &JO_01_LENGTH,
    &JO_17,
    &JO_01,
    &JO_02,
    &JO_03,
    &JO_04,
    &JO_10,
    &JO_11,
    &JO_05,
    &JO_12,
    &JO_18,
    &JW_01,
    &JW_02_FRACTION,
];

/// The claims that describe a JWT itself (RFC 7519 section 4.1).
pub const TOKEN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The first octet of a DER SEQUENCE.
const DER_SEQUENCE: u8 = 0x30;

/// The rule that a document breaks if its signature does not verify: SS-02, RQ-01 or CA-13.
pub fn signature_rule(document: Document) -> &'static Rule {
    match document {
        Document::SoftwareStatement => &SS_02,
        Document::RegistrationRequest => &RQ_01,
        Document::ClientAssertion => &CA_13,
    }
}

/// What is wrong with the form of a signature, if no key could verify a signature of this form.
pub fn ss_02_rq_01_ca_13_form(algorithm: Algorithm, signature: &[u8]) -> Option<&'static str> {
    match (algorithm, signature.len()) {
        (Algorithm::Es256 | Algorithm::EdDsa, 64) => None,
        (Algorithm::Es256, _) if signature.first() == Some(&DER_SEQUENCE) => {
            Some("this signature is DER, but ES256 in a JWS has the 64 octets of R and S (RFC 7518 section 3.4)")
        }
        (Algorithm::Es256 | Algorithm::EdDsa, _) => Some("a signature with this alg has 64 octets, this one does not"),
        // As many octets as the modulus of a key with 2048 to 4096 bits.
        (Algorithm::Ps256, 256..=512) => None,
        (Algorithm::Ps256, _) => Some("a signature with PS256 has 256 to 512 octets, this one does not"),
    }
}

fn jose_rule(error: &JwsError, document: Document) -> &'static Rule {
    match error {
        JwsError::SignatureDamaged => signature_rule(document),
        JwsError::TooLong => &JO_01_LENGTH,
        JwsError::NotCompact | JwsError::Base64 => &JO_01,
        JwsError::HeaderJson(_) | JwsError::MemberType => &JO_02,
        JwsError::AlgMissing => &JO_03,
        JwsError::AlgNone | JwsError::SignatureEmpty => &JO_04,
        JwsError::Critical => &JO_10,
        JwsError::UnencodedPayload => &JO_11,
        JwsError::Encrypted => &JO_17,
    }
}

/// The header's `alg` is only compared with the algorithms that the profile allows (RFC 8725 section 3.1).
fn jo_05_algorithm(header: &Header, allowed: &[Algorithm]) -> Option<Algorithm> {
    Algorithm::from_name(&header.alg).filter(|algorithm| allowed.contains(algorithm))
}

/// An attacker can write a key, or the location of a key, into a header. Such headers are refused and not ignored, so that no client comes
/// to depend on these members.
fn jo_12_key_in_header(header: &Header) -> Result<(), &'static str> {
    match ["jwk", "jku", "x5u", "x5c"].into_iter().find(|member| header.members.contains_key(*member)) {
        Some(member) => Err(member),
        None => Ok(()),
    }
}

/// If `typ` is present, it must be `JWT`; an assertion may also have the type that draft-ietf-oauth-rfc7523bis-11 registers for it. Letter
/// case and the prefix `application/` do not matter (RFC 7515 section 4.1.9).
fn jo_18_typ(header: &Header, document: Document) -> Result<(), ()> {
    let Some(typ) = header.typ.as_deref() else { return Ok(()) };
    let typ = typ.to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" => Ok(()),
        "client-authentication+jwt" if document == Document::ClientAssertion => Ok(()),
        _ => Err(()),
    }
}

/// The rule about a key that cannot be used.
fn jo_16_rule(unfit: Unfit) -> &'static Rule {
    match unfit {
        Unfit::Private => &JO_16_PRIVATE,
        Unfit::Purpose => &JO_16,
        Unfit::Kind => &JO_16_KIND,
        Unfit::Numbers => &JO_16_NUMBERS,
    }
}

fn jw_01_claims(payload: &[u8], max_depth: usize) -> Option<Map<String, Value>> {
    json::parse_object(payload, max_depth).ok()
}

#[expect(clippy::as_conversions, reason = "the range was checked; there is no other way from a float to an integer")]
fn whole_seconds(seconds: f64) -> Timestamp {
    seconds as Timestamp
}

#[cfg(test)]
pub(crate) mod tests;
