//! A timing wheel over the next [`SLOTS`] steps: one list a step. Floor: ground.
//!
//! After Varghese and Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987), with the hierarchy in
//! the bitmap over the slots instead of in the slots' widths: both the first and the last occupied step are
//! exact, at two looks each. Keys are absolute steps, so time going on moves nothing but the base; only
//! what falls behind it is put, once, into the list of what is overdue.

use super::{Home, NONE, Node};
use alloc::{vec, vec::Vec};

/// Chosen: 16 words of 64 bits. A prediction further ahead is rarely exact to the step.
pub(super) const SLOTS: u64 = 1024;
const OVERDUE: usize = SLOTS as usize;

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List { head: NONE, tail: NONE };

#[derive(Debug, Default)]
pub(super) struct Wheel {
    base: u64,
    /// Made at the first insertion: many classes stay empty.
    lists: Vec<List>,
    words: [u64; 16],
    summary: u16,
}

impl Wheel {
    /// Whether a step has a list here.
    pub const fn covers(&self, step: u64) -> bool {
        step.saturating_sub(self.base) < SLOTS
    }

    pub fn insert(&mut self, nodes: &mut [Node], node: u32, step: u64) {
        if self.lists.is_empty() {
            self.lists = vec![EMPTY; OVERDUE + 1];
        }
        let slot = if step < self.base { OVERDUE } else { (step % SLOTS) as usize };
        self.append(nodes, node, slot);
    }

    fn append(&mut self, nodes: &mut [Node], node: u32, slot: usize) {
        let list = &mut self.lists[slot];
        let entry = &mut nodes[node as usize];
        entry.home = Home::Wheel(slot as u16);
        entry.next = NONE;
        entry.previous = list.tail;
        match list.tail {
            NONE => list.head = node,
            tail => nodes[tail as usize].next = node,
        }
        list.tail = node;
        if slot < OVERDUE {
            self.words[slot / 64] |= 1 << (slot % 64);
            self.summary |= 1 << (slot / 64);
        }
    }

    pub fn remove(&mut self, nodes: &mut [Node], node: u32, slot: u16) {
        let slot = usize::from(slot);
        let (next, previous) = (nodes[node as usize].next, nodes[node as usize].previous);
        match previous {
            NONE => self.lists[slot].head = next,
            previous => nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[slot].tail = previous,
            next => nodes[next as usize].previous = previous,
        }
        if slot < OVERDUE && self.lists[slot].head == NONE {
            self.words[slot / 64] &= !(1 << (slot % 64));
            if self.words[slot / 64] == 0 {
                self.summary &= !(1 << (slot / 64));
            }
        }
    }

    /// Moves the base to `step`. Returns how many entries became overdue.
    pub fn advance(&mut self, nodes: &mut [Node], step: u64) -> u64 {
        let mut moves = 0;
        while let Some(slot) = self.first_slot() {
            let ahead = (slot as u64 + SLOTS - self.base % SLOTS) % SLOTS;
            if self.base + ahead >= step {
                break;
            }
            let node = self.lists[slot].head;
            self.remove(nodes, node, slot as u16);
            self.append(nodes, node, OVERDUE);
            moves += 1;
        }
        self.base = self.base.max(step);
        moves
    }

    /// The entry that has waited longest among those of the nearest step; overdue ones are nearer.
    pub fn nearest(&self) -> Option<u32> {
        match self.lists.get(OVERDUE)?.head {
            NONE => self.first_slot().map(|slot| self.lists[slot].head),
            head => Some(head),
        }
    }

    /// The entry that has waited longest among those of the farthest step.
    pub fn farthest(&self) -> Option<u32> {
        match self.last_slot() {
            Some(slot) => Some(self.lists[slot].head),
            None => self.lists.get(OVERDUE).map(|list| list.head).filter(|head| *head != NONE),
        }
    }

    fn first_slot(&self) -> Option<usize> {
        let from = (self.base % SLOTS) as usize;
        self.first_at_or_after(from).or_else(|| self.first_at_or_after(0))
    }

    fn last_slot(&self) -> Option<usize> {
        let from = (self.base % SLOTS) as usize;
        self.last_before(from).or_else(|| self.last_before(OVERDUE))
    }

    fn first_at_or_after(&self, from: usize) -> Option<usize> {
        let word = from / 64;
        let here = self.words[word] & (u64::MAX << (from % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let later = u32::from(self.summary) & (u32::MAX << (word + 1));
        let word = later.trailing_zeros() as usize;
        (later != 0).then(|| word * 64 + self.words[word].trailing_zeros() as usize)
    }

    fn last_before(&self, end: usize) -> Option<usize> {
        let word = end / 64;
        let here = self.words.get(word).map_or(0, |bits| bits & ((1 << (end % 64)) - 1));
        if here != 0 {
            return Some(word * 64 + 63 - here.leading_zeros() as usize);
        }
        let earlier = u32::from(self.summary) & ((1 << word) - 1);
        let word = 31usize.wrapping_sub(earlier.leading_zeros() as usize);
        (earlier != 0).then(|| word * 64 + 63 - self.words[word].leading_zeros() as usize)
    }
}
