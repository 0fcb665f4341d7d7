//! How the subject of a third party's certificate is written here, so that it can register it to the letter.

use dcr_policy::Refusal;
use serde_json::json;

use super::{Answer, Gate, Request};
use crate::host::Host;

pub(super) fn distinguished_name<H: Host>(gate: &Gate<H>, request: &Request) -> Result<Answer, Refusal> {
    let subject = request.rg_01_certificate()?.subject().to_string();
    let member = gate.config.settings.profile.client_metadata.subject_dn_member().name();
    Ok(Answer::json(200, &json!({ member: subject })))
}
