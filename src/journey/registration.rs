//! The common part of registering and updating: all checks from the media type to the result.

use std::time::Duration;

use dcr_policy::catalogue::{
    CB_06, CB_06_MALFORMED, CB_07, CM_03, GW_01, GW_04, GW_06, JW_06, MD_26, RG_02, RG_02_JSON, RQ_04_REPLAY, SS_05,
    SS_06, SS_08,
};
use dcr_policy::certificate_binding::{Binding, cb_06_psd2_roles, cb_06_well_formed};
use dcr_policy::client_metadata::ClientMetadata;
use dcr_policy::jwt::Unverified;
use dcr_policy::mode::Mode;
use dcr_policy::near_misses;
use dcr_policy::profile::RequestBody;
use dcr_policy::registration_request::{RegistrationRequest, UnverifiedRequest};
use dcr_policy::settings::Directory;
use dcr_policy::software_statement::{SoftwareStatement, UnverifiedStatement};
use dcr_policy::{Evaluation, Refusal, Rule, Timestamp};
use dcr_x509::Certificate;

use super::signature::{self, SoftwareKeySet};
use super::{Gate, Request};
use crate::client_store::{ClientStore, Record, SingleUse, StoreError};
use crate::host::{Event, Host};
use crate::jwks::Source;

/// How long an id is remembered if its document has no end. The store accepts at most 366 days.
const LONGEST_MEMORY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a registration request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A new registration. A member that is null has a wrong type.
    Registration,
    /// The update of a registration. A member that is null counts as absent (RFC 7592 section 2.2).
    Update,
}

/// A request that broke no rule.
pub(super) struct Approved {
    pub(super) request: RegistrationRequest,
    pub(super) statement: SoftwareStatement,
    pub(super) record: Record,
}

impl Approved {
    /// The ids that may be used only once: that of the request (RQ-04), and that of the statement if statements may be used only once
    /// (SS-08). The store consumes them together with the change of the record.
    ///
    /// The store remembers each id until its document ends. If the rule about that end is set aside, the document may have no end, or one
    /// that the store does not accept. Then the id is remembered for as long as the store can keep it.
    pub(super) fn rq_04_ss_08_single_uses<H: Host, S: ClientStore>(&self, gate: &Gate<H, S>) -> Vec<SingleUse> {
        let (settings, now) = (&gate.config.settings, gate.host.now());
        let is_set_aside = |rule: &Rule| settings.modes.of(rule.id) != Mode::Enforce;
        let forgotten_after = settings.profile.registration.danger_forget_jti_after;
        let forgotten_after = forgotten_after.or(is_set_aside(&JW_06).then_some(LONGEST_MEMORY));
        let until = forgotten_after.map_or(Timestamp::MAX, |after| now.saturating_add(after.as_secs()));
        let has_no_end = is_set_aside(&SS_05) || is_set_aside(&SS_06);
        let software = format!("{} at {}", self.record.binding.software_id, self.record.issuer);
        let of_request = self.request.single_use().map(|id| SingleUse {
            issuer: format!("registration request of {software}"),
            jti: id.jti.clone(),
            expires_at: id.expires_at.min(until),
            rule: &RQ_04_REPLAY,
        });
        let of_statement = self.statement.single_use().map(|id| SingleUse {
            issuer: format!("software statement of {}", self.record.issuer),
            jti: id.jti.clone(),
            expires_at: if has_no_end { now.saturating_add(LONGEST_MEMORY.as_secs()) } else { id.expires_at },
            rule: &SS_08,
        });
        of_request.into_iter().chain(of_statement).collect()
    }
}

/// The body has a media type that the profile allows (RG-02).
pub(super) fn rg_02_media_type<H: Host, S: ClientStore>(gate: &Gate<H, S>, request: &Request) -> Result<(), Refusal> {
    let rules = &gate.config.settings.profile.registration;
    match (request.media_type()?, rules.body) {
        (Some(media_type), _) if rules.media_types.contains(&media_type) => Ok(()),
        (_, RequestBody::Jwt) => Err(Refusal::by(&RG_02).claim("content-type")),
        (_, RequestBody::Json) => Err(Refusal::by(&RG_02_JSON).claim("content-type")),
    }
}

/// Judges a registration request: first the statement, then the signature of the request, then the metadata, then the certificate.
///
/// A `tls_client_auth` client must name the subject of the certificate `subject`. `None` if it may name another one.
///
/// A URL in the statement is used only after the statement is verified. No id is consumed before the last check has passed.
pub(super) async fn judge<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    occasion: Occasion,
    certificate: &Certificate,
    subject: Option<&Certificate>,
    body: &[u8],
    evaluation: &Evaluation,
) -> Result<Approved, Refusal> {
    // Each check asks for the time again, because time passes while key sets are fetched.
    let (settings, now) = (&gate.config.settings, || gate.host.now());
    let request = UnverifiedRequest::open(body, settings, now(), evaluation)?;
    let statement = request.ss_01_statement(settings, evaluation)?;
    let (statement, directory) = UnverifiedStatement::open(statement, settings, evaluation)?;
    statement.ss_05_ss_06_early(directory, now(), evaluation)?;

    let directory_keys = Source::of_directory(&gate.config, &directory.issuer);
    let statement = signature::verify_once(gate, statement.unverified(), directory_keys, evaluation).await?;
    let statement =
        SoftwareStatement::check(statement, directory, settings.profile.clock_skew.as_secs(), now(), evaluation)?;

    let request = match request {
        UnverifiedRequest::Signed(request) => signed(gate, &request, &statement, directory, evaluation).await?,
        UnverifiedRequest::Unsigned(claims) => RegistrationRequest::unsigned(claims),
    };
    let request = match occasion {
        Occasion::Registration => request,
        Occasion::Update => request.without_nulls(),
    };
    let metadata =
        ClientMetadata::check(request.claims(), &statement, &directory.dialect, subject, settings, evaluation)?;
    let binding = Binding::of(&statement);
    binding.check(certificate, directory, now(), evaluation)?;
    evaluation.require(&[&CB_06_MALFORMED], cb_06_well_formed(certificate, &directory.dialect))?;
    evaluation.check(&[&CB_06], cb_06_psd2_roles(certificate, statement.roles(), &directory.dialect))?;
    evaluation.check(&[&CB_07], cb_07_in_key_set(gate, certificate, &statement, directory).await)?;
    evaluation.check(&[&JW_06], request.jw_06_lifetime(settings, now()))?;
    let not_understood = near_misses::told(request.claims(), settings);
    if !not_understood.is_empty() {
        gate.host.record(Event::NotUnderstood(not_understood));
    }
    Ok(Approved { record: Record::of(&statement, binding, metadata), request, statement })
}

/// Verifies a signed request. The holder of a signing key of the software may register it.
async fn signed<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Unverified,
    statement: &SoftwareStatement,
    directory: &Directory,
    evaluation: &Evaluation,
) -> Result<RegistrationRequest, Refusal> {
    let digest = request.digest();
    let request = signature::verify(gate, request, software_keys(gate, statement), evaluation).await?;
    let (software_id, revoked_keys) = (statement.software_id(), statement.revoked_key_set_uri());
    signature::ss_14_not_revoked(gate, &request, directory, software_id, revoked_keys, evaluation).await?;
    RegistrationRequest::check(request, digest, statement, &gate.config.settings, gate.host.now(), evaluation)
}

/// The key set of the statement's software.
fn software_keys<H: Host, S: ClientStore>(gate: &Gate<H, S>, statement: &SoftwareStatement) -> Option<SoftwareKeySet> {
    SoftwareKeySet::of(&gate.config, statement.issuer(), statement.software_id(), statement.keys())
}

/// The transport certificate is in the key set of the software, if the operator asks for this (CB-07).
async fn cb_07_in_key_set<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    certificate: &Certificate,
    statement: &SoftwareStatement,
    directory: &Directory,
) -> Result<(), Refusal> {
    if !directory.dialect.certificate_in_key_set {
        return Ok(());
    }
    let keys = software_keys(gate, statement);
    if signature::cb_07_lists(gate, keys, &certificate.thumbprint()).await? { Ok(()) } else { Err(Refusal::by(&CB_07)) }
}

/// The refusal for an error of the store.
pub(super) fn gw_01_gw_04_gw_06_md_26_refused_by_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Replayed(rule) => Refusal::by(rule).claim("jti"),
        StoreError::DuplicateSoftware => Refusal::by(&MD_26).claim("software_id"),
        StoreError::VersionMismatch => Refusal::by(&GW_04),
        StoreError::UnknownClient => Refusal::by(&CM_03),
        StoreError::ClocksApart => Refusal::by(&GW_06),
        StoreError::Unavailable => Refusal::by(&GW_01),
    }
}
