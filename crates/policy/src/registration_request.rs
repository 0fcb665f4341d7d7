//! The registration request, by which a third party asks for a registration: a JWT that is signed with a key of its software, or a JSON
//! object.

use dcr_json as json;
use dcr_x509::hex_text;
use serde_json::Value;

use super::catalogue::{JW_02, JW_03, JW_04, JW_05, JW_06, JW_07, JW_08, RQ_02, RQ_03, RQ_04, RQ_05, RQ_06, SS_01};
use super::jwt::{Claims, Jti, Unverified, Verified};
use super::profile::RequestBody;
use super::settings::Settings;
use super::software_statement::SoftwareStatement;
use super::{Document, Evaluation, Refusal, Timestamp};

/// The longest accepted `jti`, in bytes. It is limited because the store must keep it until it expires.
const JTI_BYTES: usize = 128;

/// A request whose signature, if it has one, is not verified yet.
#[derive(Debug)]
pub enum UnverifiedRequest {
    /// A signed request. The signature is not verified yet.
    Signed(Box<Unverified>),
    /// A request without signature. The sender proves by its transport certificate that it may act for the software (RQ-06).
    Unsigned(Claims),
}

/// A request that the software of its statement made.
#[derive(Debug)]
pub struct RegistrationRequest {
    claims: Claims,
    single_use: Option<Jti>,
}

impl UnverifiedRequest {
    /// Reads the request's format. A request that has expired is refused before the signature check, which costs much time.
    ///
    /// # Errors
    /// The first broken JOSE rule, JW-02 or JW-03. RQ-06 if the profile asks for a JSON object and the body is not one.
    pub fn open(body: &[u8], settings: &Settings, now: Timestamp, evaluation: &Evaluation) -> Result<Self, Refusal> {
        let evaluation = evaluation.within(Document::RegistrationRequest);
        if settings.profile.registration.body == RequestBody::Json {
            return evaluation.require(&[&RQ_06], rq_06_object(body, settings)).map(Self::Unsigned);
        }
        let unverified = Unverified::open(Document::RegistrationRequest, body, settings, &evaluation)?;
        unverified.require_header(&settings.profile.required_header, &evaluation)?;
        evaluation.require(&[&JW_02, &JW_03], unverified.unverified_claims().jw_03_not_expired(now))?;
        Ok(Self::Signed(Box::new(unverified)))
    }

    /// The software statement in the request (SS-01).
    ///
    /// # Errors
    /// JW-08 if the whole request is a software statement or an assertion. SS-01 if the claim is missing or is not a string.
    pub fn ss_01_statement(&self, settings: &Settings, evaluation: &Evaluation) -> Result<&str, Refusal> {
        let claims = match self {
            Self::Signed(unverified) => unverified.unverified_claims(),
            Self::Unsigned(claims) => claims,
        };
        let is_assertion = claims.get("sub").is_some() && claims.get("sub") == claims.get("iss");
        let statement = match claims.members().get("software_statement") {
            Some(Value::String(statement)) if !statement.is_empty() => Ok(statement.as_str()),
            None if is_assertion => Err(claims.refuse(&JW_08, "sub")),
            None if claims.text("iss").is_some_and(|issuer| settings.trusts(issuer)) => {
                Err(claims.refuse(&JW_08, "iss"))
            }
            _ => Err(claims.refuse(&SS_01, "software_statement")),
        };
        evaluation.within(Document::RegistrationRequest).require(&[&JW_08, &SS_01], statement)
    }
}

impl RegistrationRequest {
    /// Checks the claims of a request that the software of the statement signed (RQ-02 to RQ-05, JW-04, JW-05). `digest` is the SHA-256 of
    /// its signed part. It is the id of a request without `jti`, if the profile allows such requests.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(
        verified: Verified,
        digest: &[u8; 32],
        statement: &SoftwareStatement,
        settings: &Settings,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        let evaluation = evaluation.within(Document::RegistrationRequest);
        let (claims, skew) = (verified.claims(), settings.profile.clock_skew.as_secs());
        let expires_at = evaluation.require(&[&JW_02, &RQ_05], rq_05_dates(claims))?;
        evaluation.check(&[&JW_05], claims.jw_05_already_issued(now, skew).map(|_| ()))?;
        evaluation.check(&[&JW_02, &JW_04], claims.jw_04_already_valid(now, skew))?;
        evaluation.require(&[&JW_03], claims.jw_03_not_expired(now))?;
        evaluation.check(&[&RQ_02], rq_02_issuer(claims, statement))?;
        evaluation.check(&[&JW_07, &RQ_03], rq_03_audience(claims, settings))?;
        let jti = evaluation.require(&[&RQ_04], rq_04_jti(claims, digest, settings))?;
        Ok(Self { claims: verified.into_claims(), single_use: Some(Jti { jti, expires_at }) })
    }

    /// Takes an unsigned request, in a profile that has such requests (RQ-06). It has no `jti`, so it can be sent again. That does no harm,
    /// because only a client with the software's own certificate can send it.
    pub fn unsigned(claims: Claims) -> Self {
        Self { claims, single_use: None }
    }

    /// The request does not live longer than the store keeps its id (JW-06). This check comes last, because its result is less useful to
    /// the caller than that of any other check.
    ///
    /// # Errors
    /// JW-06.
    pub fn jw_06_lifetime(&self, settings: &Settings, now: Timestamp) -> Result<(), Refusal> {
        let longest = settings.profile.registration.max_lifetime.saturating_add(settings.profile.clock_skew).as_secs();
        match &self.single_use {
            Some(id) if id.expires_at.saturating_sub(now) > longest => Err(self.claims.refuse(&JW_06, "exp")),
            _ => Ok(()),
        }
    }

    /// The request without its members that are null: an update treats them as absent (RFC 7592 section 2.2).
    #[must_use]
    pub fn without_nulls(self) -> Self {
        Self { claims: self.claims.without_nulls(), ..self }
    }

    /// The request's id, which may be used only once (RQ-04). `None` for an unsigned request.
    pub fn single_use(&self) -> Option<&Jti> {
        self.single_use.as_ref()
    }

    /// The claims of the request. They contain the client metadata.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

fn rq_06_object(body: &[u8], settings: &Settings) -> Result<Claims, Refusal> {
    json::parse_object(body, settings.limits.json_depth)
        .map(|members| Claims::of(Document::RegistrationRequest, members))
        .map_err(|_| Refusal::by(&RQ_06).in_document(Document::RegistrationRequest))
}

/// Checks that `iat` and `exp` are present. The result is `exp`.
fn rq_05_dates(claims: &Claims) -> Result<Timestamp, Refusal> {
    for date in ["iat", "exp"] {
        if claims.jw_02_date(date)?.is_none() {
            return Err(claims.refuse(&RQ_05, date));
        }
    }
    claims.jw_02_date("exp")?.ok_or_else(|| claims.refuse(&RQ_05, "exp"))
}

fn rq_02_issuer(claims: &Claims, statement: &SoftwareStatement) -> Result<(), Refusal> {
    if claims.text("iss") == Some(statement.software_id()) { Ok(()) } else { Err(claims.refuse(&RQ_02, "iss")) }
}

fn rq_03_audience(claims: &Claims, settings: &Settings) -> Result<(), Refusal> {
    match claims.jw_07_named_audience(&settings.registration_audiences)? {
        Some(_) => Ok(()),
        None => Err(claims.refuse(&RQ_03, "aud")),
    }
}

/// The id by which the store remembers the request. A caller that sends a request again cannot change what was signed, so the digest of that
/// part is an id too.
fn rq_04_jti(claims: &Claims, digest: &[u8; 32], settings: &Settings) -> Result<String, Refusal> {
    if claims.get("jti").is_none() && !settings.profile.registration.jti_required {
        return Ok(format!("sha-256:{}", hex_text(digest)));
    }
    single_use_id(claims).ok_or_else(|| claims.refuse(&RQ_04, "jti"))
}

/// The `jti`, if it can be remembered: it has a limited length and no control characters.
pub(super) fn single_use_id(claims: &Claims) -> Option<String> {
    claims
        .text("jti")
        .filter(|jti| (1..=JTI_BYTES).contains(&jti.len()) && !jti.chars().any(char::is_control))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
