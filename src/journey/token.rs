//! Token (RFC 6749 section 4.4): the client authenticates by the method that it registered, and gets a token that is bound to its
//! certificate.

use std::rc::Rc;

use dcr_policy::catalogue::{
    self, CA_01, CA_01_AMBIGUOUS, CA_02, CA_03, CA_03_BASIC, CA_04, CA_12_REPLAY, CA_13, CA_13_ALG, CA_15,
    CA_15_CERTIFICATE, CA_16, CA_17, CA_19, CA_19_CERTIFICATE, CA_20, CA_20_CLIENT, CA_20_UNKNOWN, CA_21, GW_01, GW_04,
    GW_06, RG_01, RG_01_UNREADABLE, RG_13_FORM,
};
use dcr_policy::client_assertion::{ClientAssertion, UnverifiedAssertion};
use dcr_policy::client_metadata::AuthMethod;
use dcr_policy::token_request::{
    Credential, TokenRequest, ca_03_registered_method, ca_17_subject, ca_20_registered_grant,
};
use dcr_policy::{Document, Evaluation, Refusal, Rule};
use dcr_x509::Certificate;

use super::signature::{self, SoftwareKeySet};
use super::{Answer, Decision, Gate, Request};
use crate::client_store::{ClientStore, FoundClient, IssuedToken, SingleUse, StoreError, TokenClient};
use crate::config::OtherGrants;
use crate::host::{Event, Host, media_type};

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn token<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<Decision, Refusal> {
    let start = evaluation.length();
    let mut issued = issue(gate, request, judge(gate, request, evaluation).await?).await;
    if issued.as_ref().is_err_and(|error| *error == StoreError::VersionMismatch) {
        // Another request changed the record after it was read. The store did nothing, so the request is judged again.
        evaluation.truncate(start);
        issued = issue(gate, request, judge(gate, request, evaluation).await?).await;
    }
    let issued = evaluation.require(&[&CA_12_REPLAY], issued.map_err(ca_12_ca_15_gw_01_refused_by_store))?;
    Ok(Decision::allow(Answer::token(&issued)))
}

/// Judges a token request that the upstream will answer. A gate in shadow mode does not register clients, so its store may not have the
/// client. An unknown client is therefore no refusal.
pub(super) async fn shadow<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    match judge(gate, request, evaluation).await {
        Err(refusal) if [&CA_15, &CA_15_CERTIFICATE, &CA_20_UNKNOWN].contains(&refusal.rule) => Ok(()),
        judged => judged.map(|_| ()),
    }
}

/// The content of a token that the client may get.
struct Grant {
    client: Rc<TokenClient>,
    scope: String,
    thumbprint: String,
    jti: Option<SingleUse>,
}

async fn issue<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    grant: Grant,
) -> Result<IssuedToken, StoreError> {
    let lifetime = gate.config.settings.profile.access_token.lifetime.as_secs();
    let Grant { client, scope, thumbprint, jti } = grant;
    gate.store.issue_token(request.origin(), &client, &scope, lifetime, &thumbprint, jti).await
}

/// Judges a token request: first the form and the proof of the caller, then the client that the proof names.
async fn judge<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    evaluation: &Evaluation,
) -> Result<Grant, Refusal> {
    evaluation.require(&[&CA_01, &CA_01_AMBIGUOUS], ca_01_form(request))?;
    let certificate = evaluation.require(&[&RG_01, &RG_01_UNREADABLE], request.rg_01_gw_05_certificate())?;
    let body = evaluation.require(&[&RG_13_FORM], request.rg_13_gw_07_gw_08_body(&RG_13_FORM).await)?;
    let form = evaluation.require(&[&CA_01, &CA_01_AMBIGUOUS], TokenRequest::ca_01_parse(&body))?;

    evaluation.require(&[&CA_20, &CA_20_UNKNOWN], form.ca_20_grant())?;
    let credential = form.ca_02_credential(request.gw_03_header("authorization")?.is_some());
    let credential = evaluation.require(&[&CA_02, &CA_03_BASIC, &CA_04, &CA_16], credential)?;
    let proof = Proof::open(gate, credential, evaluation)?;

    let start = evaluation.length();
    let found = evaluation.require(&[proof.unknown()], ca_15_client(gate, &proof).await)?;
    let judged = judge_by_record(gate, &form, &proof, certificate, &found.client, evaluation).await;
    // A record from the cache may be out of date. Before it leads to a refusal, it is compared with the record in the store.
    if judged.is_err() && found.is_from_cache && gate.store.has_changed(&found.client).await {
        evaluation.truncate(start);
        let found = evaluation.require(&[proof.unknown()], ca_15_client(gate, &proof).await)?;
        return judge_by_record(gate, &form, &proof, certificate, &found.client, evaluation).await;
    }
    judged
}

/// The proof by which the caller says which client it is.
enum Proof<'r> {
    /// `private_key_jwt`: an assertion whose claims are valid. Its signature is not verified yet.
    Assertion(Box<UnverifiedAssertion>),
    /// `tls_client_auth`: the `client_id` of the form, and the transport certificate.
    Certificate(&'r str),
}

impl<'r> Proof<'r> {
    fn open<H: Host, S: ClientStore>(
        gate: &Gate<H, S>,
        credential: Credential<'r>,
        evaluation: &Evaluation,
    ) -> Result<Self, Refusal> {
        match credential {
            Credential::Assertion { token, client_id } => {
                let settings = &gate.config.settings;
                let assertion = UnverifiedAssertion::open(token, client_id, settings, gate.host.now(), evaluation)?;
                Ok(Self::Assertion(Box::new(assertion)))
            }
            Credential::Certificate { client_id } => Ok(Self::Certificate(client_id)),
        }
    }

    /// The client that the proof names. The proof is not verified yet.
    fn client_id(&self) -> &str {
        match self {
            Self::Assertion(assertion) => assertion.client_id(),
            Self::Certificate(client_id) => client_id,
        }
    }

    /// The rule that an unknown client breaks.
    fn unknown(&self) -> &'static Rule {
        match self {
            Self::Assertion(_) => &CA_15,
            Self::Certificate(_) => &CA_15_CERTIFICATE,
        }
    }

    /// The rule that a certificate of another client breaks.
    fn foreign(&self) -> &'static Rule {
        match self {
            Self::Assertion(_) => &CA_19,
            Self::Certificate(_) => &CA_19_CERTIFICATE,
        }
    }
}

/// Judges the request by the client's record. The certificate is checked first, so that other callers learn nothing about the client and
/// cannot cause signature checks (CA-15, CA-19).
async fn judge_by_record<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    form: &TokenRequest,
    proof: &Proof<'_>,
    certificate: &Certificate,
    client: &Rc<TokenClient>,
    evaluation: &Evaluation,
) -> Result<Grant, Refusal> {
    let (metadata, foreign) = (&client.metadata, proof.foreign());
    evaluation.require(&[foreign], ca_19_certificate(gate, client, certificate, foreign, evaluation))?;
    let jti = match proof {
        Proof::Assertion(assertion) => Some(verified_assertion(gate, assertion, client, evaluation).await?),
        Proof::Certificate(_) => {
            evaluation.require(&[&CA_03], ca_03_registered_method(metadata, AuthMethod::TlsClientAuth))?;
            let attributes = &gate.config.settings.profile.client_metadata.subject_dn_attributes;
            evaluation.require(&[&CA_17], ca_17_subject(metadata, certificate, attributes))?;
            None
        }
    };
    evaluation.require(&[&CA_20_CLIENT], ca_20_registered_grant(metadata))?;
    let directory = gate.config.settings.directory(&client.issuer);
    let universal = directory.map(|directory| &directory.dialect.universal_scopes);
    let scope = form.ca_21_scope(metadata, universal.map_or(&[], Vec::as_slice));
    let scope = evaluation.require(&[&CA_21], scope)?;
    Ok(Grant { thumbprint: certificate.thumbprint().x5t_s256(), client: client.clone(), scope, jti })
}

/// `private_key_jwt`: checks the registered method and algorithm, then the signature (OpenID Connect Core section 9). The result is the
/// assertion's id.
async fn verified_assertion<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    assertion: &UnverifiedAssertion,
    client: &TokenClient,
    evaluation: &Evaluation,
) -> Result<SingleUse, Refusal> {
    let metadata = &client.metadata;
    evaluation.require(&[&CA_03], ca_03_registered_method(metadata, AuthMethod::PrivateKeyJwt))?;
    let alg = assertion.ca_13_registered_algorithm(metadata.token_endpoint_auth_signing_alg.as_deref());
    evaluation.require(&[&CA_13_ALG], alg)?;

    let keys = SoftwareKeySet::of(&gate.config, &client.issuer, &client.binding.software_id, &client.keys);
    let verified = signature::verify(gate, assertion.unverified(), keys, evaluation).await?;
    let directory = gate.config.settings.directory(&client.issuer).ok_or_else(|| refused(&CA_15))?;
    let revoked_keys = client.revoked_key_set_uri.as_deref();
    let software_id = &client.binding.software_id;
    signature::ss_14_not_revoked(gate, &verified, directory, software_id, revoked_keys, evaluation).await?;
    let assertion = ClientAssertion::check(&verified, &gate.config.settings, gate.host.now(), evaluation)?;
    gate.host.record(Event::AssertionAudience(gate.config.name_of(assertion.audience())));
    Ok(SingleUse {
        issuer: format!("client assertion of {}", assertion.client_id()),
        jti: assertion.jti().to_owned(),
        expires_at: assertion.expires_at(),
        rule: &CA_12_REPLAY,
    })
}

/// Whether the upstream serves this token request. It does if the operator lets other grants pass, and if the request is well-formed, has a
/// certificate and asks for another grant. [`token`] finds all other faults.
pub(super) async fn is_for_upstream<H: Host, S: ClientStore>(gate: &Gate<H, S>, request: &Request) -> bool {
    if gate.config.other_grants != OtherGrants::Pass {
        return false;
    }
    let admitted = ca_01_form(request).is_ok() && request.rg_01_gw_05_certificate().is_ok();
    let body = request.rg_13_gw_07_gw_08_body(&RG_13_FORM).await;
    let form = body.and_then(|body| TokenRequest::ca_01_parse(&body));
    admitted && form.is_ok_and(|form| form.names_another_grant())
}

/// The transport certificate belongs to the client (CA-19). This is checked before anything else about the client, so that other callers do
/// not learn whether it exists (CA-15) and cannot cause signature checks.
fn ca_19_certificate<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    client: &TokenClient,
    certificate: &Certificate,
    foreign: &'static Rule,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    let is_own = gate.is_certificate_of(&client.issuer, &client.binding, certificate, evaluation);
    if is_own { Ok(()) } else { Err(refused(foreign)) }
}

/// The client that the proof names, if its directory is still trusted (CA-15).
async fn ca_15_client<H: Host, S: ClientStore>(gate: &Gate<H, S>, proof: &Proof<'_>) -> Result<FoundClient, Refusal> {
    match gate.store.client_at_hand(proof.client_id()).await {
        Ok(found) if gate.config.settings.trusts(&found.client.issuer) => Ok(found),
        Ok(_) | Err(StoreError::UnknownClient) => Err(refused(proof.unknown())),
        Err(_) => Err(Refusal::by(&GW_01)),
    }
}

/// A refusal by `rule`. If the rule has the answer of a rule about the assertion, the refusal names the assertion as its document.
fn refused(rule: &'static Rule) -> Refusal {
    match rule.answer {
        catalogue::Answer::SameAs(shown) if shown == &CA_13 => Refusal::by(rule).in_document(Document::ClientAssertion),
        _ => Refusal::by(rule),
    }
}

fn ca_01_form(request: &Request) -> Result<(), Refusal> {
    let content_type = request.gw_03_header("content-type")?.unwrap_or_default();
    if media_type(content_type).as_deref() != Some(FORM) {
        return Err(Refusal::by(&CA_01).claim("content-type"));
    }
    // A form is UTF-8. Another server could read the same octets in the charset that the header names.
    if charset(content_type).is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(Refusal::by(&CA_01_AMBIGUOUS).claim("content-type"));
    }
    TokenRequest::ca_01_query(request.head.query.as_deref())
}

/// The parameter `charset` of a content-type, without quotation marks.
fn charset(content_type: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content_type);
    let parameter = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    };
    text.split(';').skip(1).find_map(parameter)
}

fn ca_12_ca_15_gw_01_refused_by_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Replayed(rule) => Refusal::by(rule).claim("jti"),
        StoreError::UnknownClient => refused(&CA_15),
        // The record was changed twice in a row.
        StoreError::VersionMismatch => Refusal::by(&GW_04),
        StoreError::ClocksApart => Refusal::by(&GW_06),
        StoreError::DuplicateSoftware | StoreError::Unavailable => Refusal::by(&GW_01),
    }
}
