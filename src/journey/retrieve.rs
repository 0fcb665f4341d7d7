//! Retrieve (RFC 7592 section 2.1): GET the registration.

use dcr_policy::{Evaluation, Refusal};

use super::management::authorise;
use super::{Answer, Gate, Request};
use crate::host::Host;

pub(super) async fn retrieve<H: Host>(
    gate: &Gate<H>,
    request: &Request,
    client_id: &str,
    evaluation: &Evaluation,
) -> Result<Answer, Refusal> {
    let authorised = authorise(gate, request, client_id, evaluation).await?;
    Ok(Answer::registration(200, &authorised.client, &gate.config, authorised.registration_access_token))
}
