//! What was used lately, so that the file need not be asked for it. It never asks the file: the writer does, for
//! what is not here.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Remembers at least so many entries as its size says, at most twice as many. Two generations: when the young one is
/// full it becomes the old one, whose rest is forgotten.
pub(super) struct Recent<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    size: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(size: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), size }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn set(&mut self, key: K, value: V) {
        if self.young.len() >= self.size && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_and_memory_is_bounded() {
        let mut recent = Recent::new(4);
        for key in 0..100 {
            recent.set(key, key * 10);
            for known in (0..=key).rev().take(4) {
                assert_eq!(recent.get(&known), Some(&(known * 10)), "{known} behind {key}");
            }
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        recent.set(99, 1);
        assert_eq!(recent.get(&99), Some(&1), "a new value hides the old one");
        recent.forget(&99);
        assert_eq!(recent.get(&99), None);
        recent.clear();
        assert!((0..100).all(|key| recent.get(&key).is_none()));
    }
}
