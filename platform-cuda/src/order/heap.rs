//! A heap of four children a node whose entries can be re-keyed and removed. Floor: ground.
//!
//! Holds what the wheel can't: keys far ahead and keys between steps. Where an entry stands is written
//! into its node, so an update moves it along one path: at most log4(n) + 1 moves up, 4 log4(n) looks down.

use super::{Home, Node};
use alloc::vec::Vec;

/// Chosen as usual for heaps: half the depth of a binary one, and four children share a cache line.
const CHILDREN: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    /// Older entries come first among equals, so that a run can be repeated.
    stamp: u64,
    node: u32,
}

impl Entry {
    const fn before(&self, other: &Self) -> bool {
        self.key < other.key || self.key == other.key && self.stamp < other.stamp
    }
}

/// The entry with the least key is on top.
#[derive(Debug, Default)]
pub(super) struct Heap(Vec<Entry>);

impl Heap {
    pub fn top(&self) -> Option<u32> {
        self.0.first().map(|entry| entry.node)
    }

    /// Returns how many entries moved, as does `remove`.
    pub fn push(&mut self, nodes: &mut [Node], node: u32, key: u64, stamp: u64) -> u64 {
        self.0.push(Entry { key, stamp, node });
        self.rise(nodes, self.0.len() - 1)
    }

    pub fn remove(&mut self, nodes: &mut [Node], at: u32) -> u64 {
        let at = at as usize;
        self.0.swap_remove(at);
        if at == self.0.len() {
            return 1;
        }
        self.sink(nodes, at) + self.rise(nodes, at)
    }

    fn put(&mut self, nodes: &mut [Node], at: usize, entry: Entry) {
        self.0[at] = entry;
        // A planner has fewer than 2^32 states.
        #[allow(clippy::cast_possible_truncation)]
        let position = at as u32;
        nodes[entry.node as usize].home = Home::Heap(position);
    }

    fn rise(&mut self, nodes: &mut [Node], mut at: usize) -> u64 {
        let (entry, mut moves) = (self.0[at], 1);
        while at > 0 && entry.before(&self.0[(at - 1) / CHILDREN]) {
            let parent = (at - 1) / CHILDREN;
            self.put(nodes, at, self.0[parent]);
            at = parent;
            moves += 1;
        }
        self.put(nodes, at, entry);
        moves
    }

    fn sink(&mut self, nodes: &mut [Node], mut at: usize) -> u64 {
        let (entry, mut moves) = (self.0[at], 1);
        loop {
            let first = at * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.0.len());
            let Some(least) = children
                .reduce(|one, other| if self.0[other].before(&self.0[one]) { other } else { one })
            else {
                break;
            };
            if !self.0[least].before(&entry) {
                break;
            }
            self.put(nodes, at, self.0[least]);
            at = least;
            moves += 1;
        }
        self.put(nodes, at, entry);
        moves
    }
}
