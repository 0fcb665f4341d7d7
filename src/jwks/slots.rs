//! How many fetches one host of key sets may hold up at a time in this VM, over one Envoy cluster. A slow host then leaves room in the
//! cluster for the others. A directory that has a cluster of its own is not held up by the key sets that its host also publishes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;

use super::Source;

/// The fetches under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Rc<RefCell<Vec<Taken>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    cluster: String,
    authority: String,
    begun_at: Timestamp,
}

/// A fetch under way. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    taken: Taken,
}

impl Slots {
    /// A slot for a fetch of `source`, if fewer than `most` of its host are taken. A slot older than `longest` does not count: the host of
    /// the filter can lose work, and lost work never ends.
    pub(super) fn take(&self, source: &Source, most: usize, now: Timestamp, longest: Duration) -> Option<Slot> {
        let mut slots = self.0.borrow_mut();
        let is_of_host = |taken: &&Taken| taken.cluster == source.cluster && taken.authority == source.authority;
        let is_under_way = |taken: &&Taken| now.abs_diff(taken.begun_at) <= longest.as_secs();
        let of_host = slots.iter().filter(is_of_host).filter(is_under_way).count();
        (of_host < most).then(|| {
            let (cluster, authority) = (source.cluster.clone(), source.authority.clone());
            let taken = Taken { cluster, authority, begun_at: now };
            slots.push(taken.clone());
            Slot { slots: self.clone(), taken }
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.borrow_mut();
        if let Some(place) = taken.iter().position(|taken| *taken == self.taken) {
            taken.swap_remove(place);
        }
    }
}
