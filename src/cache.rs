//! A bounded cache for values that are expensive to get. It limits the entries and the bytes, and removes the least recently used entry
//! first.

use std::borrow::Borrow;
use std::hash::Hash;

use lru::LruCache;

/// How much a cache may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most entries. With 0 the cache keeps nothing.
    pub entries: usize,
    /// The most bytes of all entries together. The caller of [`Cache::insert`] gives the size of each entry.
    pub bytes: usize,
}

/// A bounded map that removes the least recently used entries.
#[derive(Debug)]
pub struct Cache<K: Hash + Eq, V> {
    entries: LruCache<K, Weighed<V>>,
    bounds: Bounds,
    bytes: usize,
}

#[derive(Debug)]
struct Weighed<V> {
    value: V,
    bytes: usize,
}

impl<K: Hash + Eq, V> Cache<K, V> {
    /// An empty cache.
    pub fn new(bounds: Bounds) -> Self {
        Self { entries: LruCache::unbounded(), bounds, bytes: 0 }
    }

    /// The value of `key`. The entry counts as used now.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Keeps `value`, which takes about `bytes` bytes of memory, and replaces the old value of `key`. A value that is larger than the whole
    /// cache is not kept. Returns how many other entries were removed.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) -> usize {
        self.remove(&key);
        if self.bounds.entries == 0 || bytes > self.bounds.bytes {
            return 0;
        }
        let mut gone = 0;
        while self.entries.len() >= self.bounds.entries || self.bytes.saturating_add(bytes) > self.bounds.bytes {
            let Some((_, oldest)) = self.entries.pop_lru() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            gone += 1;
        }
        self.entries.put(key, Weighed { value, bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        gone
    }

    /// Removes the entry of `key`.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.pop(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cache: &mut Cache<char, u8>) -> String {
        "abcdef".chars().filter(|key| cache.entries.contains(key)).collect()
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut cache = Cache::new(Bounds { entries: 2, bytes: 100 });
        assert_eq!((cache.insert('a', 1, 1), cache.insert('b', 2, 1)), (0, 0));
        assert_eq!(cache.get(&'a'), Some(&1));
        assert_eq!(cache.insert('c', 3, 1), 1);
        assert_eq!(kept(&mut cache), "ac");
        assert_eq!(cache.insert('a', 4, 1), 0, "it takes its own place");
        assert_eq!(cache.get(&'a'), Some(&4));
    }

    #[test]
    fn the_bytes_are_bounded_too() {
        let mut cache = Cache::new(Bounds { entries: 100, bytes: 10 });
        for key in ['a', 'b', 'c'] {
            assert_eq!(cache.insert(key, 0, 3), 0);
        }
        assert_eq!(cache.insert('d', 0, 5), 2, "as many go as it takes");
        assert_eq!((kept(&mut cache).as_str(), cache.bytes), ("cd", 8));
        assert_eq!(cache.insert('c', 0, 11), 0, "larger than everything");
        assert_eq!((kept(&mut cache).as_str(), cache.bytes), ("d", 5));
        cache.remove(&'d');
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn a_cache_of_no_entries_keeps_nothing() {
        let mut cache = Cache::new(Bounds { entries: 0, bytes: 100 });
        assert_eq!(cache.insert('a', 1, 1), 0);
        assert_eq!(cache.get(&'a'), None);
    }
}
