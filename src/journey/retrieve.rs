//! Retrieve (RFC 7592 section 2.1): GET the registration.

use dcr_policy::{Evaluation, Refusal};

use super::management::authorise;
use super::{Answer, Decision, Gate, Request};
use crate::client_store::ClientStore;
use crate::host::Host;

pub(super) async fn retrieve<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    request: &Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Decision, Refusal> {
    let authorised = authorise(gate, request, client_id, evaluation).await?;
    Ok(Decision::allow(Answer::registration(
        200,
        &authorised.client,
        &gate.config,
        authorised.registration_access_token,
    )))
}
