//! The registration request: the JWT by which a third party asks for a registration, signed with a key of its software.

use serde_json::Value;

use super::catalogue::{JW_06, JW_08, RQ_02, RQ_03, RQ_04, RQ_05, SS_01};
use super::jwt::{Claims, Unverified, Verified};
use super::software_statement::SoftwareStatement;
use super::{Document, Refusal, Timestamp};
use crate::config::Config;

/// The longest `jti` taken, in bytes: the store keeps it until it expires.
const JTI_BYTES: usize = 128;

/// A request whose signature nobody has verified yet.
#[derive(Debug)]
pub struct UnverifiedRequest(Unverified);

/// A request signed by the software it is about.
#[derive(Debug)]
pub struct RegistrationRequest {
    verified: Verified,
    jti: String,
    expires_at: Timestamp,
}

impl UnverifiedRequest {
    /// Reads the request's shape, and refuses what has expired before any arithmetic is spent on it.
    ///
    /// # Errors
    /// The first JOSE rule broken, JW-02 or JW-03.
    pub fn open(body: &[u8], config: &Config, now: Timestamp) -> Result<Self, Refusal> {
        let allowed = &config.profile.signing_algorithms;
        let unverified = Unverified::open(Document::RegistrationRequest, body, allowed, &config.limits)?;
        unverified.unverified_claims().jw_03_not_expired(now)?;
        Ok(Self(unverified))
    }

    /// The software statement inside (SS-01).
    ///
    /// # Errors
    /// JW-08 where the whole request is itself a software statement or an assertion, SS-01 where the claim is missing or no string.
    pub fn ss_01_statement(&self, config: &Config) -> Result<&str, Refusal> {
        let claims = self.0.unverified_claims();
        let is_assertion = claims.get("sub").is_some() && claims.get("sub") == claims.get("iss");
        match claims.members().get("software_statement") {
            Some(Value::String(statement)) if !statement.is_empty() => Ok(statement),
            None if is_assertion => Err(claims.refuse(&JW_08, "sub")),
            None if claims.text("iss").is_some_and(|issuer| config.trusts(issuer)) => Err(claims.refuse(&JW_08, "iss")),
            _ => Err(Refusal::by(&SS_01).in_document(Document::RegistrationRequest).claim("software_statement")),
        }
    }

    /// The token to verify.
    pub fn unverified(&self) -> &Unverified {
        &self.0
    }
}

impl RegistrationRequest {
    /// Checks the claims of a request that the statement's software signed (RQ-02 to RQ-05).
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(
        verified: Verified,
        statement: &SoftwareStatement,
        config: &Config,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let claims = verified.claims();
        let expires_at = rq_05_dates(claims, config, now)?;
        rq_02_issuer(claims, statement)?;
        rq_03_audience(claims, config)?;
        let jti = rq_04_jti(claims)?;
        Ok(Self { verified, jti, expires_at })
    }

    /// The request does not live longer than its id can be remembered (JW-06). It comes last: whatever else is wrong with the request
    /// is of more use to its author.
    ///
    /// # Errors
    /// JW-06.
    pub fn jw_06_lifetime(&self, config: &Config, now: Timestamp) -> Result<(), Refusal> {
        let longest = config.profile.registration.max_lifetime.as_secs();
        if self.expires_at.saturating_sub(now) > longest { Err(self.claims().refuse(&JW_06, "exp")) } else { Ok(()) }
    }

    /// The request's id, for single use (RQ-04).
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// `exp`, until when the id must be remembered.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The claims that were signed: the client metadata among them.
    pub fn claims(&self) -> &Claims {
        self.verified.claims()
    }
}

fn rq_05_dates(claims: &Claims, config: &Config, now: Timestamp) -> Result<Timestamp, Refusal> {
    for date in ["iat", "exp"] {
        if claims.jw_02_date(date)?.is_none() || !claims.get(date).is_some_and(Value::is_u64) {
            return Err(claims.refuse(&RQ_05, date));
        }
    }
    let skew = config.profile.clock_skew.as_secs();
    claims.jw_05_already_issued(now, skew)?;
    claims.jw_04_already_valid(now, skew)?;
    claims.jw_03_not_expired(now)?.ok_or_else(|| claims.refuse(&RQ_05, "exp"))
}

fn rq_02_issuer(claims: &Claims, statement: &SoftwareStatement) -> Result<(), Refusal> {
    if claims.text("iss") == Some(statement.software_id()) { Ok(()) } else { Err(claims.refuse(&RQ_02, "iss")) }
}

fn rq_03_audience(claims: &Claims, config: &Config) -> Result<(), Refusal> {
    if claims.jw_07_names_audience(&config.registration_audiences)? {
        Ok(())
    } else {
        Err(claims.refuse(&RQ_03, "aud"))
    }
}

fn rq_04_jti(claims: &Claims) -> Result<String, Refusal> {
    single_use_id(claims).ok_or_else(|| claims.refuse(&RQ_04, "jti"))
}

/// A `jti` that can be remembered: bounded, and without control characters.
pub(super) fn single_use_id(claims: &Claims) -> Option<String> {
    claims
        .text("jti")
        .filter(|jti| (1..=JTI_BYTES).contains(&jti.len()) && !jti.chars().any(char::is_control))
        .map(str::to_owned)
}
