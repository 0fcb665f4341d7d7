//! The catalogue: one row for each rule. Code, answers, metrics and logs take the names of rules from these rows only.
//!
//! Levels say how firmly each family of rules asks for a rule. A profile names its families in `families`: `core` stands for the RFCs, `F1`
//! for FAPI 1.0 Advanced, `F2` for the FAPI 2.0 Security Profile, `UK` for Open Banking UK, `AU` for the Consumer Data Right, `BR` for Open
//! Finance Brasil, `RV` for Revolut, `W` for WSO2, `P` for rules that this gateway adds. M means must, S should, O optional.
//!
//! A row contains everything about a rule: id, reason, answer, levels, whether an operator may set it aside, where it is judged, when the
//! settings ask for it, source and sentence. The filter does not use the levels, places, conditions and sources, so they are not compiled
//! into it. `dcr check`, the tests and `docs/rules.md` use them.
//!
//! An id leads to its code: `MD-01` is [`MD_01`] here, the function `md_01_…` checks it, and the test `md_01_…` breaks it.

#[cfg(not(target_os = "wasi"))]
mod asked;

#[cfg(not(target_os = "wasi"))]
pub use asked::{Absence, Asked};

use super::error_code::ErrorCode;
#[cfg(not(target_os = "wasi"))]
use super::profile::Profile;
#[cfg(not(target_os = "wasi"))]
use super::settings::Settings;

/// One rule that a request can break. Each rule is a row of the catalogue. Two rules are equal if they are the same row.
#[derive(Debug)]
pub struct Rule {
    /// Stable id, such as `MD-01`.
    pub id: &'static str,
    /// Machine-readable reason, in `snake_case`. It is in counters, log lines and access logs.
    pub reason: &'static str,
    /// What the caller gets when the rule is broken.
    pub answer: Answer,
    /// The families that ask for the rule, each with its level, such as `core M, UK S`; see [`Rule::level_in`].
    #[cfg(not(target_os = "wasi"))]
    pub levels: &'static str,
    /// Whether an operator may set the rule aside.
    pub waivability: Waivability,
    /// Where the rule is judged.
    #[cfg(not(target_os = "wasi"))]
    pub places: &'static [Place],
    /// Whether the settings ask for the rule; see [`Rule::is_asked`].
    #[cfg(not(target_os = "wasi"))]
    pub asked: Asked,
    /// The text for the caller. It says what a developer must change. ASCII without `"` and `\` (RFC 6749 section 5.2).
    pub sentence: &'static str,
    /// The document that the rule comes from.
    #[cfg(not(target_os = "wasi"))]
    pub source: &'static str,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Rule {}

/// Whether an operator may set a rule aside (`danger_rules`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waivability {
    /// It may not: the rule establishes the identity of the caller, or the form of a value that later checks read.
    Binding,
    /// It may. In shadow mode, or if it is off, the journey goes on without the rule.
    Waivable,
}

/// Where a rule is judged: in which request, or in which of the signed documents.
#[cfg(not(target_os = "wasi"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The path, the method and the headers of any request.
    Message,
    /// A request for a registration or for its update, except for the claims of a signed document.
    Registration,
    /// An update only.
    Update,
    /// The token by which a registration is managed.
    Management,
    /// The form of a token request, and client authentication by the certificate.
    TokenRequest,
    /// The software statement.
    SoftwareStatement,
    /// The signed registration request.
    RegistrationRequest,
    /// The client assertion, and whether the client may authenticate with it.
    ClientAssertion,
    /// The store. Only the store knows which ids were used and which clients are registered.
    Store,
}

/// How firmly a family of rules asks for a rule (BCP 14).
#[cfg(not(target_os = "wasi"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// OPTIONAL. The rule has a setting.
    Optional,
    /// SHOULD.
    Should,
    /// MUST.
    Must,
}

#[cfg(not(target_os = "wasi"))]
impl Level {
    /// The level as a word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Should => "should",
            Self::Must => "must",
        }
    }
}

#[cfg(not(target_os = "wasi"))]
impl Rule {
    /// How firmly a profile asks for this rule: the highest level among its families. `None` if none of its families has the rule.
    pub fn level_in(&self, profile: &Profile) -> Option<Level> {
        let of_profile =
            |(family, level): (&str, Level)| profile.families.iter().any(|known| known == family).then_some(level);
        self.levels().filter_map(of_profile).max()
    }

    /// Whether a request can break this rule under `settings`.
    ///
    /// # Errors
    /// The reason why a request cannot break it.
    pub fn is_asked(&self, settings: &Settings) -> Result<(), Absence> {
        (self.asked)(settings)
    }

    /// The families that have this rule, each with its level.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, Level)> {
        self.levels.split(", ").filter_map(|entry| {
            let (family, level) = entry.split_once(' ')?;
            let level = match level {
                "M" => Level::Must,
                "S" => Level::Should,
                "O" => Level::Optional,
                _ => return None,
            };
            Some((family, level))
        })
    }
}

/// How a broken rule is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This status and this error.
    Fixed(u16, ErrorCode),
    /// The status and error of the document in which the rule was broken, see [`crate::Document`].
    OfDocument,
    /// The answer of another rule, so that the caller cannot distinguish the two.
    SameAs(&'static Rule),
}

macro_rules! catalogue {
    ($($name:ident $id:literal $reason:ident $answer:expr, $levels:literal $waivability:ident
       in [$($place:ident),+] $(if $asked:ident)?, $source:literal, $sentence:literal;)+) => {
        $(#[doc = $sentence]
          pub static $name: Rule = Rule {
              id: $id, reason: stringify!($reason), answer: $answer, waivability: Waivability::$waivability, sentence: $sentence,
              #[cfg(not(target_os = "wasi"))] levels: $levels,
              #[cfg(not(target_os = "wasi"))] places: &[$(Place::$place),+],
              #[cfg(not(target_os = "wasi"))] asked: catalogue!(@asked $($asked)?),
              #[cfg(not(target_os = "wasi"))] source: $source,
          };)+
        /// Every rule, in the catalogue's order.
        pub static RULES: &[&Rule] = &[$(&$name),+];
    };
    (@asked) => { asked::always };
    (@asked $asked:ident) => { asked::$asked };
}

use Answer::{Fixed, OfDocument, SameAs};
use ErrorCode::{
    InsufficientScope, InvalidClient, InvalidClientMetadata, InvalidRedirectUri, InvalidRequest, InvalidScope,
    InvalidSoftwareStatement, InvalidToken, InvalidWebhookUris, TemporarilyUnavailable, UnapprovedSoftwareStatement,
    UnauthorizedClient, UnsupportedGrantType,
};

catalogue! {
    // Rules of the gateway itself. They protect it and its store in every profile.
    GW_01 "GW-01" store_unavailable Fixed(503, TemporarilyUnavailable), "P M" Binding in [Store], "gateway",
        "the client store did not answer as expected; try again later, with a new jti";
    GW_02 "GW-02" path_not_canonical Fixed(400, InvalidRequest), "P M" Binding in [Message], "gateway",
        "write the path exactly as documented: no doubled slashes, no %2F, no dots as in /../, no semicolons";
    GW_03 "GW-03" header_repeated Fixed(400, InvalidRequest), "P M" Binding in [Message], "RFC 9110 section 5.3",
        "send this header once";
    GW_04 "GW-04" record_changed_meanwhile Fixed(409, InvalidRequest), "P M" Binding in [Update, TokenRequest], "RFC 9110 section 13.1.1",
        "the registration was changed by another request at the same time; send this one again, with a new jti";
    GW_05 "GW-05" certificate_out_of_sight Fixed(503, TemporarilyUnavailable), "P M" Binding in [Message], "gateway",
        "this gateway cannot see transport certificates, so it can decide nothing; its operator has to mend it";
    GW_06 "GW-06" clocks_apart Fixed(503, TemporarilyUnavailable), "P M" Binding in [Store], "gateway",
        "the clocks of this gateway and of its store differ, so nothing was changed; its operator has to set them";
    GW_07 "GW-07" request_body_withheld Fixed(503, TemporarilyUnavailable), "P M" Binding in [Message], "gateway",
        "this gateway does not hand request bodies to its rules, so it can decide nothing; its operator has to mend it";
    GW_08 "GW-08" upstream_answered_first Fixed(503, TemporarilyUnavailable), "P M" Binding in [Message], "gateway",
        "the server behind this gateway answered before the request was complete, so nothing was decided; the gateway's operator has to mend it";

    // The HTTP form of a request to the registration endpoint.
    RG_01 "RG-01" client_certificate_missing Fixed(401, InvalidClient), "UK M, AU M, BR M, P M" Binding in [Registration, Management, TokenRequest, ClientAssertion], "RFC 8705 section 2; OBUK DCR 3.3 Authentication",
        "connect with mutual TLS and present your transport certificate";
    RG_01_UNREADABLE "RG-01" client_certificate_unreadable Fixed(401, InvalidClient), "UK M, AU M, BR M, P M" Binding in [Registration, Management, TokenRequest, ClientAssertion], "RFC 8705 section 2; OBUK DCR 3.3 Authentication",
        "a transport certificate was presented, but it cannot be read as an X.509 certificate; ask its issuer for another";
    RG_02 "RG-02" media_type_unsupported Fixed(400, InvalidClientMetadata), "UK M, AU M" Binding in [Registration] if signed_requests, "RFC 7591 section 3.1",
        "send the registration request as a signed JWT, with content-type application/jwt";
    RG_02_JSON "RG-02" media_type_not_json Fixed(400, InvalidClientMetadata), "BR M" Binding in [Registration] if unsigned_requests, "RFC 7591 section 3.1",
        "send the registration request as a JSON object, with content-type application/json";
    RG_13 "RG-13" body_too_large Fixed(413, InvalidClientMetadata), "P M" Binding in [Registration], "gateway",
        "the body is larger than this endpoint takes";
    RG_13_FORM "RG-13" form_too_large Fixed(413, InvalidRequest), "P M" Binding in [TokenRequest], "gateway",
        "the form is larger than this endpoint takes";
    RG_14 "RG-14" method_not_allowed Fixed(405, InvalidRequest), "core M" Binding in [Message], "RFC 9110 section 15.5.6",
        "this resource does not have this method; see the allow header";
    RG_15 "RG-15" interaction_id_missing Fixed(400, InvalidRequest), "BR O" Waivable in [Registration, Management, TokenRequest, ClientAssertion] if interaction_id, "Open Finance Brasil FAPI profile section 5.2.2",
        "send the header x-fapi-interaction-id with a UUID of your own";
    RG_16 "RG-16" content_coding Fixed(415, InvalidRequest), "P M" Binding in [Message], "RFC 9110 section 15.5.16",
        "send the body without a content coding: leave content-encoding out";

    // JOSE: every JWS, which is a statement, a request or an assertion.
    JO_01 "JO-01" jws_malformed OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 7.1",
        "must be a compact JWS: three base64url parts joined by dots, without padding, white space or anything around it";
    JO_01_LENGTH "JO-01" jws_too_long OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "gateway",
        "is longer than this server takes";
    JO_02 "JO-02" jose_header_malformed OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 4",
        "the JOSE header must be one JSON object without repeated members, its kid and typ strings";
    JO_03 "JO-03" alg_missing OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 4.1.1",
        "the JOSE header must name its alg";
    JO_04 "JO-04" unsigned OfDocument, "core M, F1 M, F2 M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 8725 section 3.2",
        "must be signed: alg none and empty signatures are refused";
    JO_05 "JO-05" alg_not_allowed OfDocument, "F1 M, F2 M, UK M, AU M, BR M, RV M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "FAPI 1.0 Advanced section 8.6",
        "this alg is not accepted here: token_endpoint_auth_signing_alg_values_supported of the metadata lists those that are; the directory chooses that of a statement";
    JO_10 "JO-10" crit_not_understood OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 4.1.11",
        "the JOSE header must not carry crit: no extension is supported";
    JO_11 "JO-11" unencoded_payload OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7797 section 6",
        "the JOSE header must not carry b64: unencoded payloads are not supported";
    JO_12 "JO-12" key_in_header OfDocument, "core M, UK M, BR M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 8725 section 3.10; OBUK JWS and JWKS",
        "the JOSE header must not carry jwk, jku, x5u or x5c: the key comes from the registered key set";
    JO_13 "JO-13" kid_unknown OfDocument, "core M, UK M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 4.1.4",
        "the kid names no key of the signer's key set; publish the key and wait half a minute, or correct the kid";
    JO_14 "JO-14" kid_needed OfDocument, "P S, BR M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7515 section 4.1.4",
        "the signer's key set holds too many keys to try each: name the one by its kid";
    JO_15 "JO-15" kid_ambiguous OfDocument, "F2 M, P M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "FAPI 2.0 Security Profile section 5.4.3",
        "the signer's key set holds several fitting keys under this kid; give each key its own kid";
    JO_16 "JO-16" key_unfit OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7517 section 4; RFC 7518 section 3",
        "no key of the signer's key set is for this: a key's use must be sig or absent, its key_ops must have verify, its alg must be that of the token";
    JO_16_KIND "JO-16" key_of_another_type OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7518 section 6",
        "the key under this kid is not of the type that alg needs: RSA for PS256, EC with P-256 for ES256, OKP with Ed25519 for EdDSA";
    JO_16_NUMBERS "JO-16" key_malformed OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7518 section 6",
        "the numbers of the key under this kid cannot be used: write them in base64url without padding; n has 2048 to 4096 bits, x and y have 32 octets";
    JO_16_PRIVATE "JO-16" key_private OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7517 section 9.2",
        "the key set publishes private members of the key under this kid, such as d: make a new key and publish its public members only";
    JO_17 "JO-17" encrypted OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7519 section 7.2",
        "must be signed, not encrypted: a five-part JWE is not accepted here";
    JO_18 "JO-18" typ_wrong OfDocument, "core M, UK M, BR M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 8725 section 3.11",
        "the JOSE header's typ must be JWT";
    JO_18_MISSING "JO-18" typ_missing OfDocument, "UK M, BR M, AU M, P M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion] if typ_required, "OBUK directory, software statements; Open Finance Brasil FAPI profile",
        "the JOSE header must have typ: JWT";
    JO_19 "JO-19" key_set_unavailable Fixed(503, TemporarilyUnavailable), "UK M, F2 M, P M" Binding in [Registration, ClientAssertion], "OBUK JWS and JWKS; RFC 8725 section 3.10",
        "the signer's key set could not be fetched, so nothing was decided: if it is yours, check that its URL answers 200 with your keys; otherwise try again later";
    JO_19_MALFORMED "JO-19" key_set_malformed Fixed(503, TemporarilyUnavailable), "UK M, F2 M, P M" Binding in [Registration, ClientAssertion], "RFC 7517 section 5",
        "the host of the signer's key set answers with something that is not a JWK set; nothing was decided, and it stays so until the publisher of the key set mends it";

    // JWT claims that all kinds of documents have.
    JW_01 "JW-01" claims_malformed OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7519 section 4; RFC 8725 section 3.7",
        "the payload must be one JSON object in UTF-8, without repeated members and not deeply nested";
    JW_02 "JW-02" date_malformed OfDocument, "core M" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7519 section 2",
        "must be a JSON number of seconds since 1970, not a string and not milliseconds";
    JW_02_FRACTION "JW-02" date_fraction OfDocument, "P O" Binding in [SoftwareStatement, RegistrationRequest, ClientAssertion] if whole_dates, "RFC 7519 section 2",
        "must be a whole number of seconds";
    JW_03 "JW-03" expired OfDocument, "core M, UK M" Binding in [RegistrationRequest, ClientAssertion], "RFC 7519 section 4.1.4",
        "has expired: make a new one, and check your clock";
    JW_04 "JW-04" not_yet_valid OfDocument, "core M" Waivable in [SoftwareStatement, RegistrationRequest, ClientAssertion], "RFC 7519 section 4.1.5",
        "is not valid yet: check your clock";
    JW_05 "JW-05" issued_in_the_future OfDocument, "F2 M, P M" Waivable in [RegistrationRequest, ClientAssertion], "FAPI 2.0 Security Profile section 5.3.2.1",
        "was issued in the future: check your clock";
    JW_06 "JW-06" lifetime_too_long OfDocument, "core S" Waivable in [RegistrationRequest] if signed_requests, "RFC 7523 section 3",
        "lives longer than this server accepts: set exp to a few minutes after iat";
    JW_07 "JW-07" aud_malformed OfDocument, "core M" Binding in [RegistrationRequest, ClientAssertion], "RFC 7519 section 4.1.3",
        "must be a string or an array of strings";
    JW_08 "JW-08" token_confused OfDocument, "core M" Binding in [SoftwareStatement, Registration, ClientAssertion], "RFC 8725 section 3.12",
        "is a token of another kind: an assertion, an access token and a registration request cannot stand for each other";

    // Software statement.
    SS_01 "SS-01" statement_missing Fixed(400, InvalidClientMetadata), "UK M, AU M, BR M, P M" Binding in [SoftwareStatement], "OBUK DCR 3.3 data dictionary",
        "must be present and hold the directory's signed statement as a string";
    SS_02 "SS-02" statement_signature Fixed(400, InvalidSoftwareStatement), "core M" Binding in [SoftwareStatement], "RFC 7591 section 2.3",
        "the directory's signature on the statement does not verify; send it exactly as the directory issued it";
    SS_03 "SS-03" statement_issuer Fixed(400, UnapprovedSoftwareStatement), "core M" Binding in [SoftwareStatement], "RFC 7591 section 3.1.1",
        "the statement's issuer is not a directory that this server accepts: check that statement and server are both of the sandbox, or both live";
    SS_04 "SS-04" statement_claim_missing Fixed(400, InvalidSoftwareStatement), "UK M, AU M, P M" Binding in [SoftwareStatement], "OBUK directory, software statements",
        "the statement lacks this claim, or it has the wrong type: the directory that issued it has to correct it";
    SS_05 "SS-05" statement_expired Fixed(400, InvalidSoftwareStatement), "core M, AU M" Waivable in [SoftwareStatement], "RFC 7519 section 4.1.4",
        "the statement has expired; get a new one from the directory";
    SS_06 "SS-06" statement_too_old Fixed(400, InvalidSoftwareStatement), "BR M, UK S" Waivable in [SoftwareStatement] if max_age, "OBUK directory, SSA lifetime",
        "the statement was issued too long ago; get a new one from the directory";
    SS_07 "SS-07" statement_from_the_future Fixed(400, InvalidSoftwareStatement), "core S" Waivable in [SoftwareStatement], "FAPI 2.0 Security Profile section 5.3.2.1",
        "the statement was issued in the future: wait a minute and send it again; if it stays so, ask the directory";
    SS_08 "SS-08" statement_replayed Fixed(400, InvalidSoftwareStatement), "AU S, P O" Binding in [SoftwareStatement, Store] if single_use, "CDR Dynamic Client Registration",
        "the statement was used before: get a new one from the directory for every request";
    SS_09 "SS-09" organisation_not_active Fixed(400, UnapprovedSoftwareStatement), "UK M, BR M" Waivable in [SoftwareStatement] if organisation_status, "OBUK directory, software statements",
        "the directory does not list the organisation as Active";
    SS_10 "SS-10" software_roles_missing Fixed(400, InvalidSoftwareStatement), "UK M, AU M, BR M" Waivable in [SoftwareStatement], "OBUK directory, software statements",
        "the statement grants no role to the software";
    SS_11 "SS-11" authority_claims_not_active Fixed(400, UnapprovedSoftwareStatement), "UK S, BR S" Waivable in [SoftwareStatement] if authority_claims, "OBUK directory, software statements",
        "the directory says that the authority's authorisation of the organisation is not Active";
    SS_12 "SS-12" software_mode Fixed(400, UnapprovedSoftwareStatement), "UK O, BR O" Waivable in [SoftwareStatement] if modes, "OBUK directory, software statements",
        "the statement's software_mode is not one this server takes: a statement for tests does not serve a live endpoint";
    SS_13 "SS-13" key_set_location Fixed(400, InvalidSoftwareStatement), "UK M, AU M, BR M, P M" Binding in [SoftwareStatement], "OBUK DCR 3.3 data dictionary",
        "the statement must name an https key set on a host of the directory: correct it in the directory, then get a new statement";
    SS_13_VALUE "SS-13" key_set_by_value Fixed(400, InvalidSoftwareStatement), "P O" Binding in [SoftwareStatement] if keys_by_value, "RFC 7591 section 2",
        "must be a JWK set with public keys only, at most 32 keys and 32 KiB";
    SS_14 "SS-14" key_revoked OfDocument, "UK S, BR S" Binding in [RegistrationRequest, ClientAssertion] if revoked_keys, "OBUK directory, software statements",
        "the key that signed this has been revoked in the directory: sign with a current one";
    SS_14_LOCATION "SS-14" revoked_key_set_location Fixed(400, InvalidSoftwareStatement), "UK S, BR S" Binding in [SoftwareStatement] if revoked_keys, "OBUK directory, software statements",
        "the statement must name an https key set of revoked keys on a host of the directory";
    SS_14_UNREADABLE "SS-14" revoked_key_set_unreadable Fixed(503, TemporarilyUnavailable), "UK S, BR S" Binding in [RegistrationRequest, ClientAssertion] if revoked_keys, "OBUK directory, software statements",
        "the directory's list of revoked keys has an entry that cannot be read; nothing was decided, and it stays so until the directory mends the list";
    SS_16 "SS-16" uri_on_another_host Fixed(400, InvalidClientMetadata), "W O" Waivable in [Registration] if uris_on_redirect_hosts, "RFC 7591 section 5",
        "what people are shown of the client (client_uri, logo_uri, policy_uri, tos_uri) must be on a host of its redirect URIs";

    // Registration request.
    RQ_01 "RQ-01" request_signature Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Binding in [RegistrationRequest] if signed_requests, "OBUK directory, request validation",
        "the signature does not verify with a key of the software's key set: check the key, and the form of the signature (PS256: a salt of 32 octets; ES256: R and S in 64 octets, not DER)";
    RQ_02 "RQ-02" request_issuer Fixed(400, InvalidClientMetadata), "UK M, AU M" Waivable in [RegistrationRequest] if signed_requests, "OBUK DCR 3.3 data dictionary",
        "must be the software_id of the statement";
    RQ_03 "RQ-03" request_audience Fixed(400, InvalidClientMetadata), "UK O, AU M" Waivable in [RegistrationRequest] if signed_requests, "OBUK DCR 3.3 data dictionary",
        "must name this authorization server: the issuer of its metadata, character for character";
    RQ_04 "RQ-04" request_jti Fixed(400, InvalidClientMetadata), "UK M, AU M" Binding in [RegistrationRequest] if signed_requests, "OBUK DCR 3.3 data dictionary",
        "must be present, a string of 1 to 128 characters";
    RQ_04_REPLAY "RQ-04" request_replayed Fixed(400, InvalidClientMetadata), "UK M, AU M" Binding in [RegistrationRequest, Store] if signed_requests, "OBUK DCR 3.3 data dictionary",
        "was used before: every request needs a jti of its own";
    RQ_05 "RQ-05" request_dates Fixed(400, InvalidClientMetadata), "UK M, AU M" Binding in [RegistrationRequest] if signed_requests, "OBUK DCR 3.3 data dictionary",
        "must be present: a number of seconds since 1970";
    RQ_06 "RQ-06" request_malformed Fixed(400, InvalidClientMetadata), "BR M" Binding in [Registration] if unsigned_requests, "RFC 7591 section 3.1",
        "the body must be one JSON object in UTF-8, without repeated members and not deeply nested";
    RQ_07 "RQ-07" client_id_mismatch Fixed(400, InvalidClientMetadata), "core M, UK O" Waivable in [Update], "RFC 7592 section 2.2",
        "must be the client_id of the registration in the path, or left out";

    // Client metadata.
    MD_01 "MD-01" redirect_uri_not_in_statement Fixed(400, InvalidRedirectUri), "UK M, AU M, BR M, P M" Waivable in [Registration] if redirect_uris_of_statement, "OBUK DCR 3.3 data dictionary",
        "every redirect URI must stand in the software statement too, character for character";
    MD_02 "MD-02" redirect_uris_missing Fixed(400, InvalidRedirectUri), "UK M, AU M, BR M, P M" Binding in [Registration], "OBUK DCR 3.3 data dictionary",
        "neither the request nor the software statement names a redirect URI";
    MD_03 "MD-03" redirect_uri_unacceptable Fixed(400, InvalidRedirectUri), "UK M, F1 M, F2 M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary; RFC 6749 section 3.1.2",
        "each must be an absolute https URI of at most 256 characters, without fragment or user, and not on localhost";
    MD_03_COUNT "MD-03" redirect_uris_too_many Fixed(400, InvalidRedirectUri), "UK M, F1 M, F2 M" Waivable in [Registration], "gateway",
        "these are more redirect URIs than this server takes";
    MD_04 "MD-04" auth_method Fixed(400, InvalidClientMetadata), "UK M, F1 M, F2 M, AU M, RV M" Binding in [Registration], "FAPI 1.0 Advanced section 5.2.2",
        "must be one of the token_endpoint_auth_methods_supported of the metadata";
    MD_05 "MD-05" auth_signing_alg Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "with private_key_jwt, name one of token_endpoint_auth_signing_alg_values_supported of the metadata here";
    MD_06 "MD-06" subject_dn Fixed(400, InvalidClientMetadata), "UK M, P M" Binding in [Registration] if private_key_jwt, "OBUK DCR 3.3 data dictionary",
        "only a client with tls_client_auth names its certificate: leave this member out with private_key_jwt";
    MD_06_MISSING "MD-06" subject_dn_missing Fixed(400, InvalidClientMetadata), "UK M, P M" Binding in [Registration] if tls_client_auth, "RFC 8705 section 2.1.2",
        "tls_client_auth needs the subject of the transport certificate in this member";
    MD_06_LENGTH "MD-06" subject_dn_too_long Fixed(400, InvalidClientMetadata), "UK M, P M" Binding in [Registration] if tls_client_auth, "OBUK DCR 3.3 data dictionary",
        "the name is longer than this ecosystem allows, counted as this gateway writes it";
    MD_06_FIRST "MD-06" subject_dn_order Fixed(400, InvalidClientMetadata), "UK O" Binding in [Registration] if first_attribute, "OBUK DCR 3.4 OpenAPI",
        "must begin with another attribute, normally CN: write the subject as openssl x509 -noout -subject -nameopt RFC2253 prints it";
    MD_06_CERTIFICATE "MD-06" subject_dn_not_of_certificate Fixed(400, InvalidClientMetadata), "UK M, P M" Waivable in [Registration] if tls_client_auth, "OBUK DCR 3.3 data dictionary",
        "must be the subject of the transport certificate presented on this connection";
    MD_07 "MD-07" subject_identifiers Fixed(400, InvalidClientMetadata), "core M" Binding in [Registration], "RFC 8705 section 2.1.2",
        "name the certificate's subject by exactly one tls_client_auth member";
    MD_08 "MD-08" subject_identifier_not_taken Fixed(400, InvalidClientMetadata), "BR M, UK M, P M" Binding in [Registration] if refused_subject_members, "Open Finance Brasil DCR section 7.1",
        "another member names the certificate's subject here: tls_client_auth_dn for Revolut, tls_client_auth_subject_dn elsewhere";
    MD_10 "MD-10" grant_types Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "must be a list of one or more of the grant_types_supported of the metadata";
    MD_11 "MD-11" response_types Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "each entry must be one of the response_types_supported of the metadata";
    MD_12 "MD-12" response_type_without_grant Fixed(400, InvalidClientMetadata), "core S, BR M" Waivable in [Registration], "RFC 7591 section 2.1",
        "a response type with code needs the grant type authorization_code";
    MD_12_IMPLICIT "MD-12" response_type_without_implicit Fixed(400, InvalidClientMetadata), "BR M" Waivable in [Registration] if implicit_needed, "RFC 7591 section 2.1",
        "a response type with id_token needs the grant type implicit in this ecosystem";
    MD_13 "MD-13" software_id_mismatch Fixed(400, InvalidClientMetadata), "UK M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "must be the software_id of the statement, or left out";
    MD_14 "MD-14" scope_malformed Fixed(400, InvalidClientMetadata), "UK M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary; RFC 6749 section 3.3",
        "must be a string of 1 to 256 characters: scopes separated by single spaces";
    MD_15 "MD-15" scope_beyond_roles Fixed(400, InvalidClientMetadata), "UK M, AU M, BR M, P M" Waivable in [Registration], "OBUK DCR 3.3 data mapping",
        "a scope is not covered by the roles in the software statement: ask for less, or leave scope out";
    MD_17 "MD-17" scope_of_statement_unknown Fixed(400, InvalidClientMetadata), "AU M, P M" Binding in [Registration] if scopes_that_can_lack, "CDR Dynamic Client Registration",
        "the roles of the software statement give no scope that this server knows";
    MD_19 "MD-19" application_type Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "must be an application type of this ecosystem, such as web; some ecosystems require the member";
    MD_20 "MD-20" signing_alg_metadata Fixed(400, InvalidClientMetadata), "UK M, AU M, F1 M, F2 M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "must be present and name a signing algorithm the metadata lists";
    MD_21 "MD-21" encryption_metadata Fixed(400, InvalidClientMetadata), "AU M, F1 M" Waivable in [Registration], "FAPI 1.0 Advanced section 8.6.1",
        "is not an encryption algorithm that this server takes: alg is RSA-OAEP, RSA-OAEP-256 or one of ECDH-ES, enc one of A128GCM, A256GCM, A128CBC-HS256 and A256CBC-HS512";
    MD_21_ENC "MD-21" encryption_without_alg Fixed(400, InvalidClientMetadata), "AU M, F1 M" Waivable in [Registration], "OpenID Connect Registration section 2",
        "names a content encryption, so the member with alg in its name must be there too";
    MD_22 "MD-22" key_set_in_request Fixed(400, InvalidClientMetadata), "core M, BR M" Waivable in [Registration], "RFC 7591 section 2",
        "the key set is that of the software statement: leave out jwks and jwks_uri, or repeat the statement's, as the registration's answer has it";
    MD_23 "MD-23" ciba_metadata Fixed(400, InvalidClientMetadata), "UK M" Waivable in [Registration], "OBUK DCR 3.3 data dictionary",
        "check the backchannel members: poll or ping, an https notification endpoint for ping only, a signing alg, no user code, all of them with the ciba grant only";
    MD_24 "MD-24" bound_access_tokens Fixed(400, InvalidClientMetadata), "core M" Waivable in [Registration], "RFC 8705 section 3.4",
        "must be true or false";
    MD_25 "MD-25" metadata_type Fixed(400, InvalidClientMetadata), "P M" Binding in [Registration], "RFC 7591 section 2",
        "has the wrong JSON type; values are never converted";
    MD_25_REDIRECT "MD-25" redirect_uris_type Fixed(400, InvalidRedirectUri), "P M" Binding in [Registration], "RFC 7591 section 2",
        "must be an array of strings";
    MD_26 "MD-26" software_already_registered Fixed(400, InvalidClientMetadata), "AU M, BR M, UK O" Binding in [Registration, Store] if single_registration, "CDR Dynamic Client Registration; Open Finance Brasil DCR section 9.3.1",
        "this software is registered already: update that registration, or delete it first; if you have lost its client_id or token, ask the bank";

    MD_27 "MD-27" webhook_uris Fixed(400, InvalidWebhookUris), "BR M" Waivable in [Registration] if webhooks, "Open Finance Brasil DCR section 7.1",
        "must be the software_api_webhook_uris of the software statement, all of them, each with https";
    MD_28 "MD-28" subject_type Fixed(400, InvalidClientMetadata), "core S" Binding in [Registration] if subject_types, "OpenID Connect Registration section 2",
        "must be one of the subject_types_supported of the metadata";

    // Transport certificate and software statement.
    CB_01_ISSUER "CB-01" certificate_of_another_authority Fixed(400, InvalidSoftwareStatement), "P O" Binding in [Registration] if certificate_issuers, "RFC 5280 section 4.2.1.1",
        "the transport certificate was not issued by a certification authority that this server takes for this directory";
    CB_01_DATES "CB-01" certificate_dates Fixed(400, InvalidSoftwareStatement), "AU M, BR M, P M" Waivable in [Registration] if dates_of_other_forms, "CDR certificate validation; RFC 5280 section 4.1.2.5",
        "the transport certificate is not valid at this time";
    CB_04 "CB-04" transport_certificate_of_another Fixed(400, InvalidSoftwareStatement), "UK M" Waivable in [Registration] if form_cb_04, "OBIE registration profile",
        "use the transport certificate that the directory issued for this software: its only CN is the statement's software_id, its only OU the org_id";
    CB_04_DATES "CB-04" transport_certificate_dates Fixed(400, InvalidSoftwareStatement), "UK M" Waivable in [Registration] if dates_of_cb_04, "RFC 5280 section 4.1.2.5",
        "the transport certificate is not valid at this time";
    CB_05 "CB-05" organisation_certificate_of_another Fixed(400, InvalidSoftwareStatement), "UK M" Waivable in [Registration] if form_cb_05, "ETSI TS 119 495; OBIE certificates",
        "the transport certificate's organizationIdentifier must end with the statement's registration_id; its CN must be the org_id, or its country and authority those of the statement's authority_id";
    CB_05_DATES "CB-05" organisation_certificate_dates Fixed(400, InvalidSoftwareStatement), "UK M" Waivable in [Registration] if dates_of_cb_05, "RFC 5280 section 4.1.2.5",
        "the transport certificate is not valid at this time";

    CB_06 "CB-06" certificate_lacks_role Fixed(400, UnapprovedSoftwareStatement), "UK O" Waivable in [Registration] if psd2_roles, "ETSI TS 119 495 section 5.1",
        "the transport certificate's PSD2 roles (its QCStatement) do not cover the roles that the software statement names";
    CB_06_MALFORMED "CB-06" certificate_roles_malformed Fixed(400, UnapprovedSoftwareStatement), "UK O" Binding in [Registration] if psd2_roles, "ETSI TS 119 495 section 5.1",
        "the PSD2 statement of the transport certificate is not written as ETSI TS 119 495 has it, so it grants no role: ask the issuer for a new certificate";
    CB_07 "CB-07" certificate_not_in_key_set Fixed(400, InvalidSoftwareStatement), "UK O" Waivable in [Registration] if certificate_in_key_set, "OBUK directory, key stores",
        "the transport certificate must be in the software's key set: a key with use tls and the certificate first in its x5c";
    CB_08 "CB-08" certificate_of_another_software Fixed(400, InvalidSoftwareStatement), "BR M" Waivable in [Registration] if form_cb_08, "Open Finance Brasil DCR section 7.1",
        "the transport certificate must carry the statement's software_id as its UID, and OFBBR- and the statement's org_id as its organizationIdentifier";
    CB_09 "CB-09" certificate_of_another_organisation Fixed(400, InvalidSoftwareStatement), "BR M" Waivable in [Registration] if form_cb_09, "Open Finance Brasil DCR section 9.3.1",
        "the transport certificate and the software statement must name the same organisation";

    // Distinguished names.
    DN_01 "DN-01" dn_malformed Fixed(400, InvalidClientMetadata), "core M" Binding in [Registration] if tls_client_auth, "RFC 4514",
        "must be a distinguished name as RFC 4514 writes it, such as CN=name,OU=unit,O=organisation,C=GB";

    // Client management.
    CM_01 "CM-01" token_of_another_kind Fixed(401, InvalidToken), "UK M, AU M, BR M, P M" Binding in [Management], "RFC 7592 section 2",
        "wrong kind of token: use the registration_access_token if the answer to the registration has one, otherwise an access token";
    CM_02 "CM-02" bearer_malformed Fixed(401, InvalidToken), "core M" Binding in [Management], "RFC 6750 section 2.1",
        "send one access token in one header, as Authorization: Bearer TOKEN";
    CM_03 "CM-03" client_unknown Fixed(401, InvalidToken), "UK M, core S" Binding in [Management], "RFC 7592 section 2.1; OBUK DCR 3.3",
        "the token does not belong to the client_id in the path, and the token has been revoked: check the path";
    CM_04 "CM-04" client_of_another SameAs(&CM_03), "UK M, P M" Binding in [Management], "OBUK DCR 3.3",
        "the access token was issued to another client than the one in the path";
    CM_08 "CM-08" software_changed Fixed(400, InvalidClientMetadata), "UK M, AU M, P M" Binding in [Update] if software_that_can_change, "OBUK DCR 3.3; CDR modifiable fields",
        "an update must carry a statement of the same directory, organisation and software as the registration";
    CM_09 "CM-09" server_member_in_update Fixed(400, InvalidClientMetadata), "core M" Waivable in [Update], "RFC 7592 section 2.2",
        "this member is the server's; leave it out of the update";
    CM_11 "CM-11" certificate_subject_not_registered Fixed(401, InvalidToken), "RV M" Binding in [Management] if subject_changes, "Revolut, update certificates",
        "use the certificate whose subject is registered, also for an update that names a new subject: it takes effect after the update";
    CM_15 "CM-15" certificate_not_of_client Fixed(401, InvalidToken), "UK M, AU M, BR M, P M" Binding in [Management] if certificates_that_can_differ, "OBUK DCR 3.3 Authentication",
        "the transport certificate is not one of this client's, or not valid now";

    // Token endpoint: client authentication.
    CA_01 "CA-01" token_request_malformed Fixed(400, InvalidRequest), "core M" Binding in [TokenRequest], "RFC 6749 section 3.2",
        "send one body with content-type application/x-www-form-urlencoded, each parameter once";
    CA_01_AMBIGUOUS "CA-01" token_request_ambiguous Fixed(400, InvalidRequest), "P M" Binding in [TokenRequest], "RFC 6749 section 3.2",
        "send all parameters in the body and none in the URL, in UTF-8, with the names exactly as RFC 6749 writes them";
    CA_02 "CA-02" several_authentication_methods Fixed(400, InvalidRequest), "core M" Binding in [TokenRequest], "RFC 6749 section 2.3",
        "use exactly one client authentication method";
    CA_03 "CA-03" authentication_method_not_registered Fixed(401, InvalidClient), "core M, F1 M" Binding in [TokenRequest, ClientAssertion], "OpenID Connect Core section 9",
        "use the client's registered token_endpoint_auth_method";
    CA_03_BASIC "CA-03" basic_authentication_refused Fixed(401, InvalidClient), "core M, F1 M" Binding in [TokenRequest], "OpenID Connect Core section 9",
        "no client authenticates by the authorization header here; use the registered token_endpoint_auth_method";
    CA_04 "CA-04" client_assertion_type Fixed(401, InvalidClient), "core M" Binding in [TokenRequest] if private_key_jwt, "RFC 7523 section 2.2",
        "must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    CA_05 "CA-05" assertion_subject Fixed(401, InvalidClient), "core M, AU M" Binding in [ClientAssertion] if private_key_jwt, "RFC 7523 section 3",
        "iss and sub must both be the client_id";
    CA_06 "CA-06" client_id_differs Fixed(401, InvalidClient), "core M" Binding in [TokenRequest] if private_key_jwt, "RFC 7521 section 4.2",
        "where the client_id parameter is sent, it must be the assertion's sub";
    CA_07 "CA-07" assertion_audience Fixed(401, InvalidClient), "core M, F2 M, AU M" Binding in [ClientAssertion] if private_key_jwt, "RFC 7523 section 3",
        "must name this authorization server: the issuer of its metadata, character for character";
    CA_07_ARRAY "CA-07" assertion_audience_array Fixed(401, InvalidClient), "F2 M" Binding in [ClientAssertion] if one_audience, "FAPI 2.0 Security Profile section 5.3.2.1",
        "must be one string, the issuer of this authorization server, and not an array";
    CA_09 "CA-09" assertion_exp Fixed(401, InvalidClient), "core M" Binding in [ClientAssertion] if private_key_jwt, "RFC 7523 section 3",
        "must be present and in the future, no further than this server accepts";
    CA_10 "CA-10" assertion_dates Fixed(401, InvalidClient), "P M" Binding in [ClientAssertion] if private_key_jwt, "RFC 7523 section 3",
        "exp must be later than iat";
    CA_12 "CA-12" assertion_jti Fixed(401, InvalidClient), "AU M, BR M, core O" Binding in [ClientAssertion] if private_key_jwt, "RFC 7523 section 3",
        "must be present, a string of 1 to 128 characters";
    CA_12_REPLAY "CA-12" assertion_replayed Fixed(401, InvalidClient), "AU M, BR M, core O" Binding in [ClientAssertion, Store] if private_key_jwt, "RFC 7523 section 3",
        "was used before: every assertion needs a jti of its own";
    CA_13 "CA-13" assertion_signature Fixed(401, InvalidClient), "core M" Binding in [ClientAssertion] if private_key_jwt, "OpenID Connect Core section 9",
        "check three things: iss and sub are your client_id; a key of your key set signed it (PS256: a salt of 32 octets; ES256: not DER); the transport certificate is yours";
    CA_13_ALG "CA-13" assertion_alg Fixed(401, InvalidClient), "core M" Binding in [ClientAssertion] if several_algorithms, "OpenID Connect Registration section 2",
        "sign with the client's registered token_endpoint_auth_signing_alg";
    CA_15 "CA-15" assertion_client_unknown SameAs(&CA_13), "P S" Binding in [ClientAssertion] if private_key_jwt, "RFC 6819",
        "no client is registered under this client_id";
    CA_15_CERTIFICATE "CA-15" certificate_client_unknown SameAs(&CA_17), "P S" Binding in [TokenRequest], "RFC 6819",
        "no client is registered under this client_id";
    CA_16 "CA-16" client_id_missing Fixed(401, InvalidClient), "core M" Binding in [TokenRequest], "RFC 8705 section 2",
        "authenticate with a client_assertion, or send the client_id your certificate belongs to";
    CA_17 "CA-17" certificate_subject Fixed(401, InvalidClient), "core M" Binding in [TokenRequest] if tls_client_auth, "RFC 8705 section 2.1",
        "the client_id and the transport certificate do not belong together: check both";
    CA_19 "CA-19" assertion_over_foreign_certificate SameAs(&CA_13), "UK M, AU M, BR M, P M" Binding in [ClientAssertion] if bound_assertions, "CDR; OIDF holder of key",
        "the transport certificate is not one of this client's";
    CA_19_CERTIFICATE "CA-19" certificate_of_another_client SameAs(&CA_17), "UK M, AU M, BR M, P M" Binding in [TokenRequest] if bound_certificates, "CDR; OIDF holder of key",
        "the transport certificate is not one of this client's";
    CA_20 "CA-20" grant_type_missing Fixed(400, InvalidRequest), "core M" Binding in [TokenRequest], "RFC 6749 section 4.4.2",
        "must be present";
    CA_20_UNKNOWN "CA-20" grant_type_unsupported Fixed(400, UnsupportedGrantType), "core M" Binding in [TokenRequest], "RFC 6749 section 5.2",
        "this token endpoint issues tokens for client_credentials only";
    CA_20_CLIENT "CA-20" grant_type_not_registered Fixed(400, UnauthorizedClient), "core M" Binding in [TokenRequest, ClientAssertion], "RFC 6749 section 5.2",
        "the client is not registered for this grant type: add it to grant_types by an update of the registration";
    CA_21 "CA-21" scope_not_registered Fixed(400, InvalidScope), "core M" Binding in [TokenRequest], "RFC 6749 section 5.2",
        "ask for scopes the client is registered for, separated by single spaces";

    // Bearer tokens.
    AT_01 "AT-01" token_inactive Fixed(401, InvalidToken), "core M" Binding in [Management], "RFC 6750 section 3.1; RFC 7662 section 2.2",
        "the access token is unknown, expired or revoked; get a new one";
    AT_02 "AT-02" token_bound_to_another_certificate Fixed(401, InvalidToken), "core M, F1 M, F2 M" Binding in [Management] if management_by_access_token, "RFC 8705 section 3",
        "the access token is bound to another transport certificate: use that one, or get a new token with this one";
    AT_03 "AT-03" token_without_certificate Fixed(401, InvalidToken), "core M" Binding in [Management], "RFC 8705 section 3",
        "present the transport certificate the access token is bound to";
    AT_04 "AT-04" token_in_two_places Fixed(400, InvalidRequest), "core M, F2 M" Binding in [Management], "RFC 6750 section 2",
        "send the access token in the authorization header only";
    AT_05 "AT-05" token_missing Fixed(401, InvalidToken), "core M" Binding in [Management], "RFC 6750 section 3.1",
        "send an access token in the authorization header";
    AT_07 "AT-07" scope_insufficient Fixed(403, InsufficientScope), "core M, AU M" Binding in [Management] if management_scope, "RFC 6750 section 3.1; CDR registration endpoints",
        "the access token lacks the scope for managing a registration: ask for it in the token request";
}
