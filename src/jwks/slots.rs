//! How many fetches one host of key sets may hold up at a time in this VM. A slow host then leaves room in the Envoy cluster for the others.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;

/// The fetches under way, each with its host and its beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Rc<RefCell<Vec<(String, Timestamp)>>>);

/// A fetch under way. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    taken: (String, Timestamp),
}

impl Slots {
    /// A slot for a fetch from `host`, if fewer than `most` are taken. A slot older than `longest` does not count: the host of the filter
    /// can lose work, and lost work never ends.
    pub(super) fn take(&self, host: &str, most: usize, now: Timestamp, longest: Duration) -> Option<Slot> {
        let mut taken = self.0.borrow_mut();
        let is_under_way = |begun_at: Timestamp| now.abs_diff(begun_at) <= longest.as_secs();
        let of_host = taken.iter().filter(|(other, begun_at)| other == host && is_under_way(*begun_at)).count();
        (of_host < most).then(|| {
            let slot = (host.to_owned(), now);
            taken.push(slot.clone());
            Slot { slots: self.clone(), taken: slot }
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
