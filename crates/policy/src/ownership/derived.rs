//! What follows from a value, kept beside it.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// What follows from the rest of a value, worked out when first asked for. It tells no value from another, and a copy,
/// which may be changed, works it out anew. Boxed: it is larger than what it follows from.
#[derive(Debug)]
pub(super) struct Derived<T>(OnceLock<Box<T>>);

impl<T> Derived<T> {
    pub(super) fn get(&self, work_out: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(|| Box::new(work_out()))
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Derived<T> {}

impl<T> Hash for Derived<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
