//! The client assertion (RFC 7523): the JWT by which a client authenticates with `private_key_jwt`.

use dcr_jose::Algorithm;
use serde_json::Value;

use super::catalogue::{
    CA_05, CA_06, CA_07, CA_07_ARRAY, CA_09, CA_10, CA_12, CA_13_ALG, JW_02, JW_03, JW_04, JW_05, JW_07, JW_08,
};
use super::jwt::{Claims, Unverified, Verified};
use super::registration_request::single_use_id;
use super::settings::Settings;
use super::{Document, Evaluation, Refusal, Timestamp};

/// An assertion whose claims are valid now. Its signature is not verified yet, because that needs the keys of the client that it names.
#[derive(Debug)]
pub struct UnverifiedAssertion {
    unverified: Unverified,
    client_id: String,
}

/// The proof that a client signed an assertion whose claims are valid now.
#[derive(Debug)]
pub struct ClientAssertion {
    client_id: String,
    audience: String,
    jti: String,
    expires_at: Timestamp,
}

impl UnverifiedAssertion {
    /// Reads an assertion and checks the algorithm, then the claims (CA-05 to CA-12).
    ///
    /// # Errors
    /// The first broken rule.
    pub fn open(
        token: &str,
        client_id_parameter: Option<&str>,
        settings: &Settings,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        let evaluation = evaluation.within(Document::ClientAssertion);
        let unverified = Unverified::open(Document::ClientAssertion, token.as_bytes(), settings, &evaluation)?;
        unverified.require_header(&settings.profile.required_header, &evaluation)?;
        let claims = unverified.unverified_claims();
        let ClientAssertion { client_id, .. } = check_claims(claims, settings, now, &evaluation)?;
        evaluation.require(&[&CA_06], ca_06_client_id(client_id_parameter, &client_id))?;
        Ok(Self { unverified, client_id })
    }

    /// The client that the assertion names. The signature is not verified yet.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Refuses an algorithm other than the registered one, if the client registered one (CA-13).
    ///
    /// # Errors
    /// CA-13.
    pub fn ca_13_registered_algorithm(&self, registered: Option<&str>) -> Result<(), Refusal> {
        match registered {
            Some(name) if Algorithm::from_name(name) != Some(self.unverified.algorithm()) => {
                Err(self.unverified.unverified_claims().refuse(&CA_13_ALG, "alg"))
            }
            _ => Ok(()),
        }
    }

    /// The token to verify.
    pub fn unverified(&self) -> &Unverified {
        &self.unverified
    }
}

impl ClientAssertion {
    /// Checks the claims of an assertion again after the signature check.
    ///
    /// # Errors
    /// The first broken rule. A rule can be broken now although [`UnverifiedAssertion::open`] checked it, because time has passed.
    pub fn check(
        verified: &Verified,
        settings: &Settings,
        now: Timestamp,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        // `open` has recorded these rules already, so they are not recorded a second time.
        check_claims(verified.claims(), settings, now, &evaluation.aside())
    }

    /// The client that signed it.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The accepted audience that the assertion names.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The assertion's id. It may be used only once (CA-12).
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// `exp`. The id must be remembered until then.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

fn check_claims(
    claims: &Claims,
    settings: &Settings,
    now: Timestamp,
    evaluation: &Evaluation,
) -> Result<ClientAssertion, Refusal> {
    let skew = settings.profile.clock_skew.as_secs();
    evaluation.require(&[&JW_08], jw_08_kind(claims))?;
    let client_id = evaluation.require(&[&CA_05], ca_05_subject(claims))?;
    let expires_at = ca_09_ca_10_dates(claims, settings, now);
    let expires_at = evaluation.require(&[&JW_02, &CA_10, &JW_03, &CA_09], expires_at)?;
    evaluation.check(&[&JW_05], claims.jw_05_already_issued(now, skew).map(|_| ()))?;
    evaluation.check(&[&JW_04], claims.jw_04_already_valid(now, skew))?;
    let audience = evaluation.require(&[&CA_07_ARRAY, &JW_07, &CA_07], ca_07_audience(claims, settings))?.to_owned();
    let jti = evaluation.require(&[&CA_12], ca_12_jti(claims))?;
    Ok(ClientAssertion { client_id, audience, jti, expires_at })
}

fn ca_07_audience<'s>(claims: &Claims, settings: &'s Settings) -> Result<&'s str, Refusal> {
    // FAPI 2.0 allows only a string, so that an assertion is valid at one server only.
    if !settings.profile.client_assertion.audience_arrays && claims.get("aud").is_some_and(Value::is_array) {
        return Err(claims.refuse(&CA_07_ARRAY, "aud"));
    }
    claims.jw_07_named_audience(&settings.assertion_audiences)?.ok_or_else(|| claims.refuse(&CA_07, "aud"))
}

/// A registration request or a request object is signed with the same key. Neither of them may authenticate the client.
fn jw_08_kind(claims: &Claims) -> Result<(), Refusal> {
    match ["software_statement", "response_type", "redirect_uri"].into_iter().find(|name| claims.get(name).is_some()) {
        Some(name) => Err(claims.refuse(&JW_08, name)),
        None => Ok(()),
    }
}

fn ca_05_subject(claims: &Claims) -> Result<String, Refusal> {
    match (claims.text("iss"), claims.text("sub")) {
        (Some(issuer), Some(subject)) if issuer == subject && !subject.is_empty() => Ok(subject.to_owned()),
        (_, None) => Err(claims.refuse(&CA_05, "sub")),
        _ => Err(claims.refuse(&CA_05, "iss")),
    }
}

fn ca_06_client_id(parameter: Option<&str>, subject: &str) -> Result<(), Refusal> {
    match parameter {
        Some(parameter) if parameter != subject => Err(Refusal::by(&CA_06).claim("client_id")),
        _ => Ok(()),
    }
}

fn ca_09_ca_10_dates(claims: &Claims, settings: &Settings, now: Timestamp) -> Result<Timestamp, Refusal> {
    let expires_at = claims.jw_02_date("exp")?.ok_or_else(|| claims.refuse(&CA_09, "exp"))?;
    if claims.jw_02_date("iat")?.is_some_and(|issued_at| expires_at < issued_at) {
        return Err(claims.refuse(&CA_10, "exp"));
    }
    claims.jw_03_not_expired(now)?;
    let longest = settings.profile.client_assertion.max_lifetime.saturating_add(settings.profile.clock_skew);
    if expires_at.saturating_sub(now) > longest.as_secs() {
        return Err(claims.refuse(&CA_09, "exp"));
    }
    Ok(expires_at)
}

fn ca_12_jti(claims: &Claims) -> Result<String, Refusal> {
    single_use_id(claims).ok_or_else(|| claims.refuse(&CA_12, "jti"))
}

#[cfg(test)]
mod tests;
