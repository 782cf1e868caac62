//! Something that one thread at a time may use, and that says so to a second one instead of letting it wait.
#![expect(unsafe_code, reason = "a flag guards a cell")]

use std::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

/// A value and who is at it.
pub(crate) struct Exclusive<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through a `Turn`, and there is at most one at a time: see `enter`.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// A turn; `None` while another thread has its own.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Turn<'_, T>> {
        // Acquire, pairs with the Release of `Turn::drop`: we see what the last one did.
        // Lazily: a `Turn` that is made and thrown away would put the flag down.
        (!self.taken.swap(true, Acquire)).then(|| Turn(self))
    }
}

/// The right to use the value.
pub(crate) struct Turn<'a, T>(&'a Exclusive<T>);

impl<T> Deref for Turn<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `enter` found the flag down and put it up, so this is the only turn.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.taken.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_one_is_turned_away_until_the_first_is_done() {
        let value = Exclusive::new(1);
        let mut turn = value.enter().unwrap();
        *turn += 1;
        for attempt in 1..=3 {
            assert!(value.enter().is_none(), "attempt {attempt}");
        }
        drop(turn);
        assert_eq!(*value.enter().unwrap(), 2);
    }

    #[test]
    fn panic_ends_the_turn() {
        let value = Exclusive::new(1);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = value.enter().unwrap();
            panic!("in the middle");
        }));
        assert!(outcome.is_err() && value.enter().is_some());
    }
}
