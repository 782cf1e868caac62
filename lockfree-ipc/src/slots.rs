//! Which slots of an arena are free, and how often the others are held. Private to the sender: plain memory.

use crate::{
    arena::{Arena, Classes},
    layout::arena as at,
};

/// The free lists of one arena.
#[derive(Debug)]
pub(crate) struct Slots {
    classes: Classes,
    /// Per class, most recently freed last. Never grows beyond the capacity reserved at the start.
    free: Vec<Vec<u32>>,
    /// Per class, slots that were ever used: those beyond are free and untouched.
    touched: [u32; at::CLASSES],
    /// Per class, slots committed at the start.
    pub(crate) planned: [u32; at::CLASSES],
    /// Holders per slot.
    holds: Box<[u32]>,
    /// Words of a bit set over all slots that contain a slot ever used.
    pub(crate) used_words: Vec<u32>,
    /// Slots first used that were not planned.
    pub(crate) unplanned: u64,
}

impl Slots {
    pub(crate) fn new(arena: &Arena) -> Self {
        let classes = arena.classes.clone();
        Self {
            free: classes.count.iter().map(|n| Vec::with_capacity(*n as usize)).collect(),
            touched: [0; at::CLASSES],
            planned: arena.planned,
            holds: vec![0; classes.slots as usize].into(),
            used_words: Vec::with_capacity(classes.words()),
            unplanned: 0,
            classes,
        }
    }

    /// Is a slot of this class free without looking for returned ones?
    #[inline]
    pub(crate) fn has_free(&self, class: usize) -> bool {
        !self.free[class].is_empty() || self.touched[class] < self.planned[class]
    }

    /// Takes a slot of this class, or of a larger one when there is none. Warm ones first.
    #[inline]
    pub(crate) fn take(&mut self, class: usize) -> Option<u32> {
        match self.free[class].pop() {
            Some(slot) => Some(slot),
            None => (class..at::CLASSES).find_map(|c| self.free[c].pop().or_else(|| self.touch(c))),
        }
    }

    #[cold]
    fn touch(&mut self, class: usize) -> Option<u32> {
        let n = self.touched[class];
        if n >= self.classes.count[class] {
            return None;
        }
        self.touched[class] += 1;
        self.unplanned += u64::from(n >= self.planned[class]);
        let slot = self.classes.slot(class, n);
        let word = slot / 64;
        if !self.used_words.contains(&word) {
            self.used_words.push(word);
        }
        Some(slot)
    }

    /// One more holder.
    #[inline]
    pub(crate) fn hold(&mut self, slot: u32) {
        self.holds[slot as usize] += 1;
    }

    /// One holder less; the last one frees the slot.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) {
        let holds = &mut self.holds[slot as usize];
        debug_assert!(*holds > 0, "slot {slot} released more often than held");
        *holds -= 1;
        if *holds == 0 {
            self.free(slot);
        }
    }

    /// Puts a slot that nobody holds on its free list.
    #[inline]
    pub(crate) fn free(&mut self, slot: u32) {
        debug_assert_eq!(self.holds[slot as usize], 0);
        if let Some(class) = self.classes.class_of(slot) {
            self.free[class].push(slot);
        }
    }

    /// Slots touched and not free.
    pub(crate) fn in_use(&self) -> u32 {
        let free: usize = self.free.iter().map(Vec::len).sum();
        self.touched.iter().sum::<u32>() - free as u32
    }
}
