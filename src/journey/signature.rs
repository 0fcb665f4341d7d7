//! Verifies a signature with the key set of its signer. If the signer may have a new key, a newer set is tried too.

use std::cell::RefCell;
use std::rc::Rc;

use dcr_jose::jwk::KeySet;
use dcr_policy::catalogue::{
    JO_13, JO_14, JO_15, JO_16, JO_16_KIND, JO_16_NUMBERS, JO_16_PRIVATE, JO_19, JO_19_MALFORMED, SS_14,
    SS_14_UNREADABLE,
};
use dcr_policy::jwt::{SignatureProof, Unverifiable, Unverified, Verified, signature_rule};
use dcr_policy::settings::Directory;
use dcr_policy::software_keys::SoftwareKeys;
use dcr_policy::{Evaluation, Refusal};
use dcr_x509::Thumbprint;

use super::Gate;
use crate::cache::{Bounds, Cache};
use crate::client_store::ClientStore;
use crate::config::{CacheConfig, Config};
use crate::host::{CacheEvent, CacheName, Event, Host};
use crate::jwks::{KeySetUnavailable, PublishedKeys, Source};

/// The key set of a software.
pub(super) enum SoftwareKeySet {
    /// It is fetched.
    Fetched(Source),
    /// It came with the statement, and it is the same until the registration is updated.
    ByValue(Rc<KeySet>),
}

impl SoftwareKeySet {
    /// The key set of a software of the directory `issuer`. `None` if the configuration does not take it, or takes it no longer: the host
    /// of the key set is not on the list, or statements of the directory hold no keys.
    pub(super) fn of(config: &Config, issuer: &str, software_id: &str, keys: &SoftwareKeys) -> Option<Self> {
        match keys {
            SoftwareKeys::Uri(uri) => Source::of_software(config, issuer, software_id, uri).map(Self::Fetched),
            SoftwareKeys::ByValue(keys) => {
                let is_taken = config.settings.directory(issuer)?.dialect.claims.key_set.is_some();
                is_taken.then(|| Self::ByValue(keys.key_set().clone()))
            }
        }
    }
}

/// Whether the key set of a software lists this certificate for TLS (CB-07).
///
/// # Errors
/// JO-19 if there is no usable key set.
pub(super) async fn cb_07_lists<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    keys: Option<SoftwareKeySet>,
    certificate: &Thumbprint,
) -> Result<bool, Refusal> {
    match keys {
        None => Err(Refusal::by(&JO_19)),
        Some(SoftwareKeySet::Fetched(source)) => {
            Ok(jo_19_current(gate, Some(source)).await?.1.holds_tls_certificate(certificate))
        }
        Some(SoftwareKeySet::ByValue(keys)) => Ok(keys.holds_tls_certificate(certificate)),
    }
}

/// Verifies `unverified` with the key set of a software. `None` means that there is no key set.
///
/// # Errors
/// JO-19 if there is no usable key set. Otherwise the rule that the signature breaks.
pub(super) async fn verify<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    keys: Option<SoftwareKeySet>,
    evaluation: &Evaluation,
) -> Result<Verified, Refusal> {
    let verified = match keys {
        None => Err(Refusal::by(&JO_19)),
        Some(SoftwareKeySet::Fetched(source)) => verified(gate, unverified, source).await,
        Some(SoftwareKeySet::ByValue(keys)) => verified_by_value(gate, unverified, &keys),
    };
    on_trail(verified, unverified, evaluation)
}

/// Verifies a document that is sent often, such as a software statement. The result is kept with the digest of the key set that verified
/// the signature. It is used again only with the same key set.
///
/// # Errors
/// As [`verify`].
pub(super) async fn verify_once<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    source: Option<Source>,
    evaluation: &Evaluation,
) -> Result<Verified, Refusal> {
    on_trail(verified_once(gate, unverified, source).await, unverified, evaluation)
}

/// The directory does not list the key that signed `verified` as revoked, if such keys are refused (SS-14). The list is a key set at `uri`.
/// Without a list, no document that this software signs is accepted.
///
/// # Errors
/// SS-14, or JO-19 if the list cannot be fetched.
pub(super) async fn ss_14_not_revoked<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    verified: &Verified,
    directory: &Directory,
    software_id: &str,
    uri: Option<&str>,
    evaluation: &Evaluation,
) -> Result<(), Refusal> {
    if !directory.dialect.refuse_revoked_keys {
        return Ok(());
    }
    let source = uri.and_then(|uri| Source::of_software(&gate.config, &directory.issuer, software_id, uri));
    let document = verified.claims().document();
    let listed = match jo_19_current(gate, source).await {
        Ok((_, revoked)) => match revoked.revokes(verified.key()) {
            Ok(true) => Err(Refusal::by(&SS_14)),
            Ok(false) => Ok(()),
            Err(_) => Err(Refusal::by(&SS_14_UNREADABLE)),
        },
        Err(refusal) => Err(refusal),
    };
    evaluation.within(document).require(
        &[&JO_19, &JO_19_MALFORMED, &SS_14_UNREADABLE, &SS_14],
        listed.map_err(|refusal| refusal.in_document(document)),
    )
}

fn on_trail(
    verified: Result<Verified, Refusal>,
    unverified: &Unverified,
    evaluation: &Evaluation,
) -> Result<Verified, Refusal> {
    let rules = [
        &JO_19,
        &JO_19_MALFORMED,
        &JO_13,
        &JO_14,
        &JO_15,
        &JO_16,
        &JO_16_KIND,
        &JO_16_NUMBERS,
        &JO_16_PRIVATE,
        signature_rule(unverified.document()),
    ];
    evaluation.within(unverified.document()).require(&rules, verified)
}

async fn verified<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    source: Source,
) -> Result<Verified, Refusal> {
    let (source, keys) = jo_19_current(gate, Some(source)).await?;
    Ok(by_newest(gate, unverified, &source, keys).await?.0)
}

/// No fetch can bring a newer set. A caller that has a new key needs a new statement.
fn verified_by_value<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    keys: &KeySet,
) -> Result<Verified, Refusal> {
    by(gate, unverified, keys).map_err(|Unverifiable { refusal, .. }| match refusal.rule {
        rule if rule == &JO_13 => {
            refusal.detail("the statement holds the keys: register or update with a statement that holds this one")
        }
        _ => refusal,
    })
}

async fn verified_once<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    source: Option<Source>,
) -> Result<Verified, Refusal> {
    let (source, keys) = jo_19_current(gate, source).await?;
    if let Some(verified) = gate.signature_cache.find(&keys, unverified) {
        gate.host.record(Event::Cache(CacheName::Statements, CacheEvent::Hit));
        return Ok(verified);
    }
    gate.host.record(Event::Cache(CacheName::Statements, CacheEvent::Miss));
    let (verified, keys) = by_newest(gate, unverified, &source, keys).await?;
    for _ in 0..gate.signature_cache.keep(&keys, unverified, &verified) {
        gate.host.record(Event::Cache(CacheName::Statements, CacheEvent::Evicted));
    }
    Ok(verified)
}

/// The key set of `source`, with `source` itself. `None` means that there is no key set.
///
/// # Errors
/// JO-19 if there is no usable key set.
async fn jo_19_current<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    source: Option<Source>,
) -> Result<(Source, Rc<PublishedKeys>), Refusal> {
    let source = source.ok_or_else(|| Refusal::by(&JO_19))?;
    let keys = gate.key_sets.current(&source).await.map_err(|unavailable| match unavailable {
        KeySetUnavailable::NotFetched => Refusal::by(&JO_19),
        KeySetUnavailable::NotAKeySet => Refusal::by(&JO_19_MALFORMED),
    })?;
    Ok((source, keys))
}

/// Proofs of the documents whose signature verified, by key set. Their claims are checked every time.
#[derive(Debug)]
pub struct SignatureCache(RefCell<Cache<Place, SignatureProof>>);

/// The place of a proof in the cache: the digests of the key set and of the token without its signature.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    key_set: [u8; 32],
    token: [u8; 32],
}

/// The memory that one proof takes, in bytes: two digests for its place, and in the proof one digest, a signature of at most 512 octets and
/// the identity of the key. The rest is for the map.
const PROOF_BYTES: usize = 768;

impl SignatureCache {
    /// An empty cache.
    pub(super) fn new(config: &CacheConfig) -> Self {
        let bounds = Bounds { entries: config.statements, bytes: config.statements.saturating_mul(PROOF_BYTES) };
        Self(RefCell::new(Cache::new(bounds)))
    }

    fn find(&self, keys: &PublishedKeys, unverified: &Unverified) -> Option<Verified> {
        let place = Place { key_set: *keys.digest(), token: *unverified.digest() };
        self.0.borrow_mut().get(&place).and_then(|proof| unverified.verified_before(proof))
    }

    /// Keeps the proof of `verified`. Returns how many other proofs were removed for it.
    fn keep(&self, keys: &PublishedKeys, unverified: &Unverified, verified: &Verified) -> usize {
        let Some(proof) = unverified.proof(verified) else { return 0 };
        let place = Place { key_set: *keys.digest(), token: *unverified.digest() };
        self.0.borrow_mut().insert(place, proof, PROOF_BYTES)
    }
}

/// Verifies with `keys`, or with a newer set if that may help. The result contains the key set that verified the signature.
async fn by_newest<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    source: &Source,
    keys: Rc<PublishedKeys>,
) -> Result<(Verified, Rc<PublishedKeys>), Refusal> {
    match by(gate, unverified, &keys) {
        Ok(verified) => Ok((verified, keys)),
        Err(unverifiable) if unverifiable.key_set_may_be_old => match gate.key_sets.newer_than(&keys, source).await {
            Some(newer) => match by(gate, unverified, &newer) {
                Ok(verified) => Ok((verified, newer)),
                Err(unverifiable) => Err(unverifiable.refusal),
            },
            None => Err(unverifiable.refusal),
        },
        Err(unverifiable) => Err(unverifiable.refusal),
    }
}

fn by<H: Host, S: ClientStore>(
    gate: &Gate<H, S>,
    unverified: &Unverified,
    keys: &KeySet,
) -> Result<Verified, Unverifiable> {
    unverified.verify(keys, || gate.host.record(Event::SignatureCheck(unverified.algorithm())))
}
