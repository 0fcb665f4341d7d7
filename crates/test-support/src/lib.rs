//! Helpers for the tests of several crates: changed bytes, and the folder of real tokens and certificates.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "this code runs in tests only")]

use std::path::PathBuf;

/// The folder of real tokens and certificates, if there is one: `DCR_VECTORS`, or `shared/vectors` beside the repository. The folder is not
/// part of the repository. Without it, a test prints a message and passes.
pub fn vectors() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("DCR_VECTORS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let found = folder.is_dir();
    if !found {
        eprintln!("skipped: no real tokens and certificates in {}", folder.display());
    }
    found.then_some(folder)
}

/// Whether `make unit` runs the tests. Tests that try many inputs then try a part of them; `make test` tries all.
pub fn is_quick() -> bool {
    quick().is_some()
}

/// In a quick run, the folder for what such runs can use again, such as keys (`DCR_QUICK`).
pub fn quick() -> Option<PathBuf> {
    std::env::var_os("DCR_QUICK").map(PathBuf::from)
}

/// `count`, or a fiftieth of it in a quick run.
pub fn scaled(count: usize) -> usize {
    if is_quick() { count / 50 } else { count }
}

/// `count` variations of `original`, or a fiftieth of them in a quick run: bits flipped, octets replaced, ranges removed, doubled or moved. They are the same in every run, so
/// that a failure can be repeated.
pub fn mutations(original: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    (0..scaled(count)).map(move |_| {
        let mut octets = original.to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut octets, &mut random);
        }
        octets
    })
}

/// Octets that have a meaning for one of the parsers.
const SPECIAL: &[u8] = b"\0\t\n \"#%+,-./0:;<=>A[\\]_a{}~\x02\x13\x30\x31\x7f\x80\x82\xc3\xe2\xff";

fn mutate(octets: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(octets.len() + 1);
    let length = random.below(octets.len() - at + 1).min(40);
    let special = SPECIAL[random.below(SPECIAL.len())];
    match random.below(6) {
        0 if at < octets.len() => octets[at] ^= 1 << random.below(8),
        1 if at < octets.len() => octets[at] = special,
        2 => drop(octets.drain(at..at + length)),
        3 => {
            let copy = octets[at..at + length].to_vec();
            let target = random.below(octets.len() + 1);
            octets.splice(target..target, copy);
        }
        4 => octets.truncate(at),
        _ => octets.insert(at, special),
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}
