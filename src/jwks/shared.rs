//! What the VMs of one Envoy process tell each other of key sets, so that one fetch serves them all: the documents that were fetched, and
//! who is fetching.
//!
//! Envoy's shared data has no deletion and no insertion of what is absent. So there is a fixed number of slots, by the digest of the
//! source; two sources of one slot take turns in it, and what they lose is only a fetch. Every value carries the whole digest, and the
//! configuration's in it: other configurations' values are as good as none. All of it is a help and never needed: a VM that finds
//! nothing, or waits in vain, fetches for itself.

use std::time::Duration;

use dcr_policy::Timestamp;
use sha2::{Digest, Sha256};

use super::Source;
use crate::config::Config;
use crate::host::{CacheEvent, CacheName, Event, Host};

/// The longest document that is shared, in bytes. Usual ones have a tenth of it.
const DOCUMENT_BYTES: usize = 64 * 1024;

/// What an unused slot holds: no value that is read, but one that can be replaced by version.
const UNUSED: &[u8] = b"-";

/// What the VMs share.
#[derive(Debug, Clone)]
pub(super) struct SharedSets<H> {
    host: H,
    slots: u64,
    configuration: [u8; 32],
    /// This VM, among those that fetch.
    own: [u8; 8],
}

/// A document as some VM fetched it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedSet {
    /// When.
    pub(super) fetched_at: Timestamp,
    /// What was fetched; `None` where the set's host says that there is none.
    pub(super) document: Option<Vec<u8>>,
}

/// Whose fetch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The VM's that asked.
    Own,
    /// Another VM's, under way.
    Another,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is a set, shared if it is not too long.
    Done,
    /// There is none.
    Failed,
}

impl<H: Host> SharedSets<H> {
    /// The slots within `jwks.shared_bytes`, made usable where they are not yet. Envoy configures a filter in its main thread before it
    /// does so in its workers, so no two VMs are here at the same time.
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

    /// The set of `source` as a VM fetched it last.
    pub(super) fn get(&self, source: &Source) -> Option<SharedSet> {
        let (id, slot) = self.place(source)?;
        let value = self.host.shared(&set_key(slot))?.value;
        let (of, rest) = value.split_first_chunk::<32>()?;
        let (fetched_at, document) = rest.split_first_chunk::<8>()?;
        let document = (!document.is_empty()).then(|| document.to_vec());
        (*of == id).then(|| SharedSet { fetched_at: Timestamp::from_be_bytes(*fetched_at), document })
    }

    /// Tells the others of a set, or that its host says there is none.
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
        // Without a note nothing is shared, and there is nobody to ask.
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

    /// Says how this VM's fetch ended, if it had the claim.
    pub(super) fn release(&self, source: &Source, now: Timestamp, outcome: Outcome) {
        let Some((id, slot)) = self.place(source) else { return };
        let Some(shared) = self.host.shared(&note_key(slot)) else { return };
        if Note::read(&shared.value).is_some_and(|note| note.of == id && note.by == self.own) {
            let state = if outcome == Outcome::Failed { FAILED } else { DONE };
            let note = Note { of: id, at: now, by: self.own, state };
            self.host.share(&note_key(slot), &note.to_bytes(), Some(shared.version));
        }
    }

    /// When another VM could not fetch the set, if that is the last that was heard of it.
    pub(super) fn failed_at(&self, source: &Source) -> Option<Timestamp> {
        self.note(source).filter(|note| note.state == FAILED).map(|note| note.at)
    }

    /// Whether anything is shared.
    pub(super) fn is_used(&self) -> bool {
        self.slots > 0
    }

    /// What another VM said last of a fetch of the set.
    fn note(&self, source: &Source) -> Option<Note> {
        let (id, slot) = self.place(source)?;
        self.note_of_another(&self.host.shared(&note_key(slot))?.value, &id)
    }

    fn note_of_another(&self, note: &[u8], id: &[u8; 32]) -> Option<Note> {
        Note::read(note).filter(|note| note.of == *id && note.by != self.own)
    }

    /// The digest of a source under this configuration, and its slot; `None` where nothing is shared.
    fn place(&self, source: &Source) -> Option<([u8; 32], u64)> {
        let mut digest = Sha256::new();
        digest.update(self.configuration);
        for part in [&source.cluster, &source.authority, &source.path] {
            // None of them holds this octet.
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let id: [u8; 32] = digest.finalize().into();
        let (first, _) = id.split_first_chunk::<8>()?;
        Some((id, u64::from_be_bytes(*first).checked_rem(self.slots)?))
    }
}

/// How far a fetch is: the last octet of a note.
const FETCHING: u8 = b'f';
const DONE: u8 = b'd';
const FAILED: u8 = b'x';

/// What one VM says of a fetch.
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

    /// A claim that is older than `longest` is of a VM that is gone.
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
