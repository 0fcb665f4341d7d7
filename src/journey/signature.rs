//! Verifying a signature with its signer's key set, once more with a newer set where the signer has a new key.

use super::Gate;
use crate::host::Host;
use crate::jwks::Source;
use crate::policy::catalogue::{JO_13, JO_14, JO_15, JO_16, JO_19};
use crate::policy::jwt::{Unverified, Verified, signature_rule};
use crate::policy::{Refusal, Trail};

/// Verifies `unverified` with the key set of `source`. No source is no key set.
///
/// # Errors
/// JO-19 where no key set is to be had, else why the signature does not verify.
pub(super) async fn verify<H: Host>(
    gate: &Gate<H>,
    unverified: &Unverified,
    source: Option<Source>,
    trail: &Trail,
) -> Result<Verified, Refusal> {
    let rules = [&JO_19, &JO_13, &JO_14, &JO_15, &JO_16, signature_rule(unverified.document())];
    trail.within(unverified.document()).need(&rules, verified(gate, unverified, source).await)
}

async fn verified<H: Host>(
    gate: &Gate<H>,
    unverified: &Unverified,
    source: Option<Source>,
) -> Result<Verified, Refusal> {
    let source = source.ok_or_else(|| Refusal::by(&JO_19))?;
    let keys = gate.key_sets.current(&source).await.map_err(|_| Refusal::by(&JO_19))?;
    match unverified.verify(&keys) {
        Err(unverifiable) if unverifiable.key_set_may_be_old => match gate.key_sets.newer_than(&keys, &source).await {
            Some(newer) => unverified.verify(&newer).map_err(|unverifiable| unverifiable.refusal),
            None => Err(unverifiable.refusal),
        },
        verified => verified.map_err(|unverifiable| unverifiable.refusal),
    }
}
