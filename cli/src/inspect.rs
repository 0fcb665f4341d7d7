//! Looks into a compact JWS without verifying it: header, claims, times in words, and what the profile `uk-obie-3.3` wants of it.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};

use crate::Error;

/// The profile whose wishes are compared.
pub const PROFILE: &str = "uk-obie-3.3";

/// A token taken apart. Nothing is verified.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The JOSE header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// What the claims look like.
    pub kind: Kind,
    /// The length of the signature, in bytes.
    pub signature_bytes: usize,
}

/// The three kinds of JWT in Dynamic Client Registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed by the directory about a third party's software.
    SoftwareStatement,
    /// Sent to the registration endpoint.
    RegistrationRequest,
    /// Sent to the token endpoint.
    ClientAssertion,
    /// None of them.
    Other,
}

/// A claim that the profile speaks of, and how the token stands to it.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The claim.
    pub claim: &'static str,
    /// The rule's id.
    pub rule: &'static str,
    /// What the profile says.
    pub wanted: &'static str,
    /// Whether it is there, and of a form that can be right.
    pub state: State,
}

/// How a token stands to a wanted claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There, and plausible.
    Present,
    /// Not there; the profile can do without.
    Absent,
    /// Not there, and demanded.
    Missing,
    /// There, but cannot be right.
    Wrong,
}

/// A row of the profile: claim, rule, what is wanted, whether it is demanded of this token, and whether a value can be right.
struct Wish {
    claim: &'static str,
    rule: &'static str,
    wanted: &'static str,
    demanded: fn(&Map<String, Value>) -> bool,
    plausible: fn(&Value, &Context<'_>) -> bool,
}

/// What the plausibility of a claim may depend on.
struct Context<'a> {
    claims: &'a Map<String, Value>,
    now: u64,
}

impl Inspected {
    /// Takes a compact JWS apart; white space around it is ignored.
    pub fn parse(token: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = token.trim().split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(Error::Token(format!("{} parts between dots, and a compact JWS has three", parts.len())));
        };
        let (header, claims) = (object("header", header)?, object("payload", claims)?);
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(not_base64url("signature"))?;
        Ok(Self { kind: Kind::of(&claims), header, claims, signature_bytes: signature.len() })
    }

    /// The software statement inside a registration request.
    pub fn software_statement(&self) -> Option<Self> {
        Self::parse(self.claims.get("software_statement")?.as_str()?).ok()
    }

    /// What the profile wants of a token of this kind. `now` is in Unix seconds.
    pub fn findings(&self, now: u64) -> Vec<Finding> {
        let context = Context { claims: &self.claims, now };
        let finding = |wish: &Wish| Finding {
            claim: wish.claim,
            rule: wish.rule,
            wanted: wish.wanted,
            state: match self.claims.get(wish.claim) {
                None | Some(Value::Null) if (wish.demanded)(&self.claims) => State::Missing,
                None | Some(Value::Null) => State::Absent,
                Some(value) if (wish.plausible)(value, &context) => State::Present,
                Some(_) => State::Wrong,
            },
        };
        self.kind.wishes().iter().map(finding).collect()
    }

    /// Everything as text for people. `now` is in Unix seconds.
    pub fn report(&self, now: u64) -> String {
        let mut text = format!("{} (not verified; signature of {} bytes)\n", self.kind.name(), self.signature_bytes);
        text.push_str("\nHeader\n");
        write_members(&mut text, &self.header, now);
        text.push_str("\nClaims\n");
        write_members(&mut text, &self.claims, now);
        let findings = self.findings(now);
        if !findings.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\nProfile {PROFILE}");
            write_findings(&mut text, &findings);
        }
        if let Some(statement) = self.software_statement() {
            let _ = write!(text, "\nInside it: {}", statement.report(now));
        }
        text
    }

    /// Everything as JSON for machines. `now` is in Unix seconds.
    pub fn to_json(&self, now: u64) -> Value {
        let finding = |finding: &Finding| json!({ "claim": finding.claim, "rule": finding.rule, "wanted": finding.wanted, "state": finding.state.name() });
        json!({
            "kind": self.kind.name(),
            "header": self.header,
            "claims": self.claims,
            "signature_bytes": self.signature_bytes,
            "profile": PROFILE,
            "findings": self.findings(now).iter().map(finding).collect::<Vec<_>>(),
            "software_statement": self.software_statement().map(|statement| statement.to_json(now)),
        })
    }
}

impl Kind {
    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftwareStatement => "software statement",
            Self::RegistrationRequest => "registration request",
            Self::ClientAssertion => "client assertion",
            Self::Other => "JWT",
        }
    }

    fn of(claims: &Map<String, Value>) -> Self {
        let has = |name| claims.contains_key(name);
        if has("software_statement") || has("token_endpoint_auth_method") {
            Self::RegistrationRequest
        } else if has("software_roles") || has("software_jwks_endpoint") || has("org_id") {
            Self::SoftwareStatement
        } else if has("sub") && claims.get("sub") == claims.get("iss") {
            Self::ClientAssertion
        } else {
            Self::Other
        }
    }

    fn wishes(self) -> &'static [Wish] {
        match self {
            Self::SoftwareStatement => SOFTWARE_STATEMENT,
            Self::RegistrationRequest => REGISTRATION_REQUEST,
            Self::ClientAssertion => CLIENT_ASSERTION,
            Self::Other => &[],
        }
    }
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }

    fn mark(self) -> char {
        match self {
            Self::Present => '✓',
            Self::Absent => '·',
            Self::Missing | Self::Wrong => '✗',
        }
    }
}

const SOFTWARE_STATEMENT: &[Wish] = &[
    wish("iss", "SS-03", "the directory, `OpenBanking Ltd`", always, text),
    wish("iat", "SS-07", "when it was signed, not in the future", always, past),
    wish("jti", "SS-04", "an identifier of its own", always, text),
    wish("software_id", "SS-04", "letters and digits, at most 22", always, text),
    wish("software_redirect_uris", "MD-03", "https URIs, not on localhost, without fragment", always, redirect_uris),
    wish("software_roles", "SS-10", "at least one role", always, filled_array),
    wish("software_jwks_endpoint", "SS-13", "where the software's keys are", always, https),
    wish("org_id", "CB-04", "the organisation; OU or CN of its transport certificate", always, text),
    wish("org_status", "SS-09", "`Active`", always, |value, _| value == "Active"),
    wish(
        "organisation_competent_authority_claims",
        "SS-11",
        "status `Active`, roles per member state",
        never,
        |value, _| value.is_object() || value.is_array(),
    ),
    wish("exp", "SS-05", "honoured if there", never, future),
];

const REGISTRATION_REQUEST: &[Wish] = &[
    wish("iss", "RQ-02", "the statement's software_id", always, text),
    wish("aud", "RQ-03", "the bank, as its metadata's `issuer`", always, text_or_texts),
    wish("iat", "RQ-05", "when it was signed, not in the future", always, past),
    wish("exp", "JW-03", "in the future", always, future),
    wish("jti", "RQ-04", "an identifier used once", always, text),
    wish("software_statement", "SS-01", "a compact JWS", always, |value, _| {
        value.as_str().is_some_and(|token| Inspected::parse(token).is_ok())
    }),
    wish("redirect_uris", "MD-01", "among those of the statement; all of them if left out", never, redirect_uris),
    wish("token_endpoint_auth_method", "MD-04", "private_key_jwt or tls_client_auth", always, |value, _| {
        value == "private_key_jwt" || value == "tls_client_auth"
    }),
    wish(
        "token_endpoint_auth_signing_alg",
        "MD-05",
        "PS256 or ES256 (with fapi2 also EdDSA) with private_key_jwt, else absent",
        by_key,
        algorithm,
    ),
    wish(
        "tls_client_auth_subject_dn",
        "MD-06",
        "the certificate's subject with tls_client_auth, else absent",
        by_certificate,
        |value, context| value.is_string() && by_certificate(context.claims),
    ),
    wish("grant_types", "MD-10", "client_credentials, authorization_code, refresh_token", always, filled_array),
    wish("response_types", "MD-11", "`code`, `code id_token`", never, filled_array),
    wish("scope", "MD-14", "scopes that the statement's roles allow, at most 256 characters", never, text),
    wish("application_type", "MD-19", "web or mobile", always, |value, _| value == "web" || value == "mobile"),
    wish("id_token_signed_response_alg", "MD-20", "PS256 or ES256, with fapi2 also EdDSA", always, algorithm),
    wish("request_object_signing_alg", "MD-20", "PS256 or ES256, with fapi2 also EdDSA", always, algorithm),
    wish("software_id", "MD-13", "the statement's software_id", never, |value, context| {
        Some(value) == context.claims.get("iss")
    }),
];

const CLIENT_ASSERTION: &[Wish] = &[
    wish("iss", "CA-05", "the client_id", always, text),
    wish("sub", "CA-05", "the client_id", always, text),
    wish("aud", "CA-07", "the authorization server: its issuer or its token endpoint", always, text_or_texts),
    wish("exp", "CA-09", "in the future", always, future),
    wish("jti", "CA-12", "an identifier used once", always, text),
    wish("iat", "CA-11", "when it was signed, not in the future", never, past),
];

const fn wish(
    claim: &'static str,
    rule: &'static str,
    wanted: &'static str,
    demanded: fn(&Map<String, Value>) -> bool,
    plausible: fn(&Value, &Context<'_>) -> bool,
) -> Wish {
    Wish { claim, rule, wanted, demanded, plausible }
}

fn always(_: &Map<String, Value>) -> bool {
    true
}

fn never(_: &Map<String, Value>) -> bool {
    false
}

fn by_key(claims: &Map<String, Value>) -> bool {
    claims.get("token_endpoint_auth_method").is_some_and(|method| method == "private_key_jwt")
}

fn by_certificate(claims: &Map<String, Value>) -> bool {
    claims.get("token_endpoint_auth_method").is_some_and(|method| method == "tls_client_auth")
}

fn text(value: &Value, _: &Context<'_>) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn text_or_texts(value: &Value, context: &Context<'_>) -> bool {
    text(value, context) || value.as_array().is_some_and(|values| values.iter().any(Value::is_string))
}

fn filled_array(value: &Value, _: &Context<'_>) -> bool {
    value.as_array().is_some_and(|values| !values.is_empty())
}

fn https(value: &Value, _: &Context<'_>) -> bool {
    value.as_str().is_some_and(|uri| uri.starts_with("https://"))
}

fn redirect_uris(value: &Value, context: &Context<'_>) -> bool {
    let plausible = |uri: &Value| {
        let fine =
            |uri: &str| !uri.starts_with("https://localhost") && !uri.starts_with("https://127.") && !uri.contains('#');
        https(uri, context) && uri.as_str().is_some_and(fine)
    };
    value.as_array().is_some_and(|uris| !uris.is_empty() && uris.iter().all(plausible))
}

fn algorithm(value: &Value, _: &Context<'_>) -> bool {
    value == "PS256" || value == "ES256" || value == "EdDSA"
}

fn past(value: &Value, context: &Context<'_>) -> bool {
    value.as_u64().is_some_and(|time| time <= context.now)
}

fn future(value: &Value, context: &Context<'_>) -> bool {
    value.as_u64().is_some_and(|time| time > context.now)
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, Error> {
    let bytes = Base64UrlUnpadded::decode_vec(text).map_err(not_base64url(part))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Token(format!("the {part} is not a JSON object: {error}")))
}

fn not_base64url(part: &'static str) -> impl Fn(base64ct::Error) -> Error {
    move |_| Error::Token(format!("the {part} is not base64url without padding"))
}

fn write_members(text: &mut String, members: &Map<String, Value>, now: u64) {
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, value) in members {
        let shown = match (name.as_str(), value) {
            ("iat" | "exp" | "nbf", Value::Number(_)) => format!("{value}  {}", time_in_words(name, value, now)),
            ("software_statement", Value::String(statement)) => {
                format!("a JWS of {} characters, see below", statement.len())
            }
            _ => value.to_string(),
        };
        let _ = writeln!(text, "  {:width$}  {}", printable(name), printable(&shown));
    }
}

fn write_findings(text: &mut String, findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.claim.len()).max().unwrap_or(0);
    for Finding { claim, rule, wanted, state } in findings {
        let note = match state {
            State::Present => String::new(),
            _ => format!("{}: ", state.name()),
        };
        let _ = writeln!(text, "  {} {claim:width$}  {rule}  {note}{wanted}", state.mark());
    }
}

/// `2026-11-20T10:00:00Z, expires in 4 min`
fn time_in_words(claim: &str, value: &Value, now: u64) -> String {
    // Past the year 9999 there is no text for it.
    let Some(time) = value.as_u64().filter(|time| *time < 253_402_300_800) else {
        return "no time anybody means".into();
    };
    let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time));
    let distance = in_words(time.abs_diff(now));
    let words = match (claim, time > now) {
        ("exp", true) => format!("expires in {distance}"),
        ("exp", false) => format!("expired {distance} ago"),
        ("iat", true) => format!("issued {distance} in the future"),
        ("iat", false) => format!("issued {distance} ago"),
        (_, true) => format!("not valid for another {distance}"),
        (_, false) => format!("valid since {distance}"),
    };
    format!("{date}, {words}")
}

/// A length of time in its largest unit.
fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] =
        [(365 * 86_400, "year", "years"), (86_400, "day", "days"), (3600, "hour", "hours"), (60, "min", "min")];
    for (length, one, many) in UNITS {
        match seconds / length {
            0 => (),
            1 => return format!("1 {one}"),
            count => return format!("{count} {many}"),
        }
    }
    format!("{seconds} s")
}

/// What a token says must not steer the terminal it is printed on.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
