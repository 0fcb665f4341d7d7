//! What registering and updating have in common: everything from the media type to the verdict.

use super::{Gate, Request, signature};
use crate::host::Host;
use crate::jwks::Source;
use crate::policy::catalogue::{CM_03, GW_01, GW_04, MD_26, RG_02, RQ_04_REPLAY};
use crate::policy::certificate_binding::Binding;
use crate::policy::client_metadata::ClientMetadata;
use crate::policy::registration_request::{RegistrationRequest, UnverifiedRequest};
use crate::policy::software_statement::{SoftwareStatement, UnverifiedStatement};
use crate::policy::{Refusal, Timestamp};
use crate::store::{Record, SingleUse, StoreError};
use crate::x509::Certificate;

/// A request that broke no rule.
pub(super) struct Approved {
    pub(super) request: RegistrationRequest,
    pub(super) record: Record,
}

impl Approved {
    /// The request's id, to be consumed with the record's change.
    pub(super) fn single_use<H: Host>(&self, gate: &Gate<H>) -> SingleUse {
        let forgotten_after = gate.config.profile.registration.danger_forget_jti_after;
        let until = forgotten_after.map_or(Timestamp::MAX, |after| gate.host.now().saturating_add(after.as_secs()));
        SingleUse::of_request(&self.request, &self.record, until)
    }
}

/// The body is of a media type the profile takes (RG-02).
pub(super) fn rg_02_media_type<H: Host>(gate: &Gate<H>, request: &Request) -> Result<(), Refusal> {
    let known = &gate.config.profile.registration.media_types;
    match request.media_type()? {
        Some(media_type) if known.contains(&media_type) => Ok(()),
        _ => Err(Refusal::by(&RG_02).claim("content-type")),
    }
}

/// Judges a registration request: the statement first, then whoever signed the request, then what it asks for.
///
/// `subject` is the certificate whose subject a `tls_client_auth` client must name, if it must name one.
///
/// No URL is used before the statement that names it is verified, and nothing is spent before the last check has passed.
pub(super) async fn judge<H: Host>(
    gate: &Gate<H>,
    certificate: &Certificate,
    subject: Option<&Certificate>,
    body: &[u8],
) -> Result<Approved, Refusal> {
    // Time goes on while key sets are fetched, so each check asks anew.
    let (config, now) = (&gate.config, || gate.host.now());
    let request = UnverifiedRequest::open(body, config, now())?;
    let statement = UnverifiedStatement::open(request.ss_01_statement(config)?, &config.profile, &config.limits)?;

    let directory = statement.ss_03_directory(config)?;
    let directory_keys = Source::of_directory(directory);
    let statement = signature::verify(gate, statement.unverified(), directory_keys).await?;
    let statement = SoftwareStatement::check(statement, directory, &config.profile, now())?;

    let software_keys = Source::of_software(config, statement.issuer(), statement.key_set_uri());
    let request = signature::verify(gate, request.unverified(), software_keys).await?;
    let request = RegistrationRequest::check(request, &statement, config, now())?;

    let metadata = ClientMetadata::check(request.claims(), &statement, subject, config)?;
    Binding::of(&statement).check(certificate, config.profile.certificate_binding, now())?;
    request.jw_06_lifetime(config, now())?;
    Ok(Approved { record: Record::of(&statement, metadata), request })
}

/// Why the store did not write a registration.
pub(super) fn refused_by_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Replayed => Refusal::by(&RQ_04_REPLAY).claim("jti"),
        StoreError::DuplicateSoftware => Refusal::by(&MD_26).claim("software_id"),
        StoreError::VersionMismatch => Refusal::by(&GW_04),
        StoreError::UnknownClient => Refusal::by(&CM_03),
        StoreError::Unavailable => Refusal::by(&GW_01),
    }
}
