//! Retrieve (RFC 7592 section 2.1): GET the registration.

use super::management::authorise;
use super::{Answer, Gate, Request};
use crate::host::Host;
use crate::policy::Refusal;

pub(super) async fn retrieve<H: Host>(gate: &Gate<H>, request: &Request, client_id: &str) -> Result<Answer, Refusal> {
    let client = authorise(gate, request, client_id).await?;
    Ok(Answer::registration(200, &client, &gate.config.profile))
}
