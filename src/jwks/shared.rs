//! The VMs of one Envoy process share key sets, so that one fetch serves them all. They share the fetched documents, and notes that say
//! which VM is fetching.
//!
//! Envoy's shared data has no deletion, and no insertion only if a key is absent. So there is a fixed number of slots, and the digest of a
//! source selects its slot. Two sources with the same slot overwrite each other, and this costs an extra fetch only. Every value carries
//! the full digest, which covers the configuration too, so VMs ignore the values of another configuration. Sharing is only an optimisation:
//! a VM that finds nothing, or waits in vain, fetches the set itself.

use std::time::Duration;

use dcr_policy::Timestamp;
use sha2::{Digest, Sha256};

use super::Source;
use crate::config::Config;
use crate::host::{CacheEvent, CacheName, Event, Host};

/// The longest document that is shared, in bytes. Usual documents have a tenth of this length.
const DOCUMENT_BYTES: usize = 64 * 1024;

/// The value of an unused slot. It is never a valid note or document. It is there because only an existing value can be replaced by
/// version.
const UNUSED: &[u8] = b"-";

/// Access to what the VMs share.
#[derive(Debug, Clone)]
pub(super) struct SharedSets<H> {
    host: H,
    slots: u64,
    configuration: [u8; 32],
    /// Identifies this VM in its notes.
    own: [u8; 8],
}

/// A document that a VM of this process has fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedSet {
    /// Unix time of the fetch, in seconds.
    pub(super) fetched_at: Timestamp,
    /// The document; `None` if the host of the set answered that the set is gone.
    pub(super) document: Option<Vec<u8>>,
}

/// Which VM may fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The VM that asked.
    Own,
    /// Another VM. Its fetch is under way.
    Another,
}

/// The result of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A set was fetched. It is shared if it is not too long.
    Done,
    /// No set was fetched.
    Failed,
    /// Something was fetched that is not a key set.
    Malformed,
}

impl<H: Host> SharedSets<H> {
    /// Prepares the slots that fit into `jwks.shared_bytes`. Envoy configures a filter in its main thread before it does so in its workers,
    /// so no two VMs do this at the same time.
    pub(super) fn new(host: H, config: &Config) -> Self {
        let slots = u64::try_from(config.jwks.shared_bytes / DOCUMENT_BYTES).unwrap_or(u64::MAX);
        let own = host.random().to_be_bytes();
        let shared = Self { host, slots, configuration: config.digest, own };
        for key in (0..slots).map(note_key) {
            if shared.host.shared(&key).is_none() {
                shared.host.share(&key, UNUSED, None);
            }
        }
        shared
    }

    /// The set of `source` that was fetched last, by any VM.
    pub(super) fn get(&self, source: &Source) -> Option<SharedSet> {
        let (id, slot) = self.place(source)?;
        let value = self.host.shared(&set_key(slot))?.value;
        let (of, rest) = value.split_first_chunk::<32>()?;
        let (fetched_at, document) = rest.split_first_chunk::<8>()?;
        let document = (!document.is_empty()).then(|| document.to_vec());
        (*of == id).then(|| SharedSet { fetched_at: Timestamp::from_be_bytes(*fetched_at), document })
    }

    /// Shares a set with the other VMs, or the fact that its host answered that the set is gone.
    pub(super) fn put(&self, source: &Source, fetched_at: Timestamp, document: Option<&[u8]>) {
        let Some((id, slot)) = self.place(source) else { return };
        let key = set_key(slot);
        let before = self.host.shared(&key).map(|shared| shared.value);
        if before.is_some_and(|value| value.split_first_chunk::<32>().is_some_and(|(of, _)| *of != id)) {
            self.host.record(Event::Cache(CacheName::SharedKeySets, CacheEvent::Evicted));
        }
        let value = match document {
            Some(document) if document.len() > DOCUMENT_BYTES => UNUSED.to_vec(),
            document => [&id, fetched_at.to_be_bytes().as_slice(), document.unwrap_or_default()].concat(),
        };
        self.host.share(&key, &value, None);
    }

    /// Asks to be the one VM that fetches.
    pub(super) fn claim(&self, source: &Source, now: Timestamp, longest: Duration) -> Claim {
        let Some((id, slot)) = self.place(source) else { return Claim::Own };
        // Without a note nothing is shared, so this VM fetches.
        let Some(shared) = self.host.shared(&note_key(slot)) else { return Claim::Own };
        if self.note_of_another(&shared.value, &id).is_some_and(|note| note.is_under_way(now, longest)) {
            return Claim::Another;
        }
        let note = Note { of: id, at: now, by: self.own, state: FETCHING };
        if self.host.share(&note_key(slot), &note.to_bytes(), Some(shared.version)) {
            Claim::Own
        } else {
            Claim::Another
        }
    }

    /// Whether another VM is fetching the set.
    pub(super) fn is_under_way(&self, source: &Source, now: Timestamp, longest: Duration) -> bool {
        self.note(source).is_some_and(|note| note.is_under_way(now, longest))
    }

    /// Records how the fetch of this VM ended, if this VM had the claim.
    pub(super) fn release(&self, source: &Source, now: Timestamp, outcome: Outcome) {
        let Some((id, slot)) = self.place(source) else { return };
        let Some(shared) = self.host.shared(&note_key(slot)) else { return };
        if Note::read(&shared.value).is_some_and(|note| note.of == id && note.by == self.own) {
            let state = match outcome {
                Outcome::Done => DONE,
                Outcome::Failed => FAILED,
                Outcome::Malformed => MALFORMED,
            };
            let note = Note { of: id, at: now, by: self.own, state };
            self.host.share(&note_key(slot), &note.to_bytes(), Some(shared.version));
        }
    }

    /// When another VM failed to fetch the set, if that is the last note about it.
    pub(super) fn failed_at(&self, source: &Source) -> Option<Timestamp> {
        self.note(source).filter(|note| matches!(note.state, FAILED | MALFORMED)).map(|note| note.at)
    }

    /// Whether the last fetch of another VM brought something that is not a key set.
    pub(super) fn was_malformed(&self, source: &Source) -> bool {
        self.note(source).is_some_and(|note| note.state == MALFORMED)
    }

    /// Whether there are any slots.
    pub(super) fn is_used(&self) -> bool {
        self.slots > 0
    }

    /// The last note about this set, if another VM wrote it.
    fn note(&self, source: &Source) -> Option<Note> {
        let (id, slot) = self.place(source)?;
        self.note_of_another(&self.host.shared(&note_key(slot))?.value, &id)
    }

    fn note_of_another(&self, note: &[u8], id: &[u8; 32]) -> Option<Note> {
        Note::read(note).filter(|note| note.of == *id && note.by != self.own)
    }

    /// The digest of a source under this configuration, and its slot; `None` if there are no slots.
    fn place(&self, source: &Source) -> Option<([u8; 32], u64)> {
        let mut digest = Sha256::new();
        digest.update(self.configuration);
        for part in [&source.cluster, &source.authority, &source.path] {
            // The zero separates the parts. No part contains one.
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let id: [u8; 32] = digest.finalize().into();
        let (first, _) = id.split_first_chunk::<8>()?;
        Some((id, u64::from_be_bytes(*first).checked_rem(self.slots)?))
    }
}

/// The state of a fetch: the last octet of a note.
const FETCHING: u8 = b'f';
const DONE: u8 = b'd';
const FAILED: u8 = b'x';
const MALFORMED: u8 = b'm';

/// What one VM writes about a fetch.
struct Note {
    of: [u8; 32],
    at: Timestamp,
    by: [u8; 8],
    state: u8,
}

impl Note {
    fn read(value: &[u8]) -> Option<Self> {
        let (of, rest) = value.split_first_chunk::<32>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        match rest.split_first_chunk::<8>()? {
            (by, [state]) => Some(Self { of: *of, at: Timestamp::from_be_bytes(*at), by: *by, state: *state }),
            _ => None,
        }
    }

    /// A claim older than `longest` belongs to a VM that no longer exists.
    fn is_under_way(&self, now: Timestamp, longest: Duration) -> bool {
        self.state == FETCHING && now.abs_diff(self.at) <= longest.as_secs()
    }

    fn to_bytes(&self) -> Vec<u8> {
        [self.of.as_slice(), &self.at.to_be_bytes(), &self.by, &[self.state]].concat()
    }
}

fn set_key(slot: u64) -> String {
    format!("dcr-gate.key-set.{slot}")
}

fn note_key(slot: u64) -> String {
    format!("dcr-gate.key-set-fetch.{slot}")
}
