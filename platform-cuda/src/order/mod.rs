//! `Order`: states by key, so that the farthest (to evict) or the nearest (to fetch) is at hand. Floor:
//! ground.
//!
//! A key is a time in 256ths of a step ([`crate::distance::NextUse`]) or any other number. Whole steps
//! within the next 1024 go into a timing wheel, O(1); all else goes into a heap, O(log n). No operation
//! looks at more: time going on costs nothing but what falls due. [`Order::moves`] counts every entry that
//! is put anywhere, so that this can be tested without a clock.
//!
//! Entries are divided into classes, each ordered by itself: a policy that weighs entries differently as
//! time goes on compares the tops of a few classes instead of all entries.

mod heap;
mod wheel;

use crate::{distance::FRACTION_BITS, random::Random};
use alloc::vec::Vec;
use heap::Heap;
use wheel::Wheel;

const NONE: u32 = u32::MAX;

/// Which end is the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// The least key is on top.
    Nearest,
    /// The greatest key is on top.
    Farthest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Out,
    Wheel(u16),
    Heap(u32),
}

#[derive(Clone, Debug)]
struct Node {
    home: Home,
    class: u8,
    key: u64,
    next: u32,
    previous: u32,
    /// Where it stands among its class's members.
    member: u32,
}

const OUT: Node = Node { home: Home::Out, class: 0, key: 0, next: NONE, previous: NONE, member: 0 };

#[derive(Debug, Default)]
struct Class {
    wheel: Wheel,
    heap: Heap,
    /// How many entries there are.
    len: usize,
    /// All entries in no order, to draw one at random; only of orders toward the farthest, since keeping
    /// them costs two cache misses a change.
    members: Vec<u32>,
}

/// See the module's documentation. Entries are small numbers: slots of the caller's table.
#[derive(Debug)]
pub struct Order {
    toward: Toward,
    nodes: Vec<Node>,
    classes: Vec<Class>,
    stamp: u64,
    moves: u64,
}

impl Order {
    /// An empty order of so many classes.
    #[must_use]
    pub fn new(toward: Toward, classes: usize) -> Self {
        let classes = (0..classes).map(|_| Class::default()).collect();
        Self { toward, nodes: Vec::new(), classes, stamp: 0, moves: 0 }
    }

    /// Puts an entry where it belongs, whether or not it was there before.
    pub fn place(&mut self, entry: u32, class: u8, key: u64) {
        if self.nodes.len() <= entry as usize {
            self.nodes.resize(entry as usize + 1, OUT);
        }
        let node = &self.nodes[entry as usize];
        if node.home != Home::Out && node.class == class && node.key == key {
            return;
        }
        self.remove(entry);
        let home = &mut self.classes[usize::from(class)];
        let node = &mut self.nodes[entry as usize];
        (node.class, node.key) = (class, key);
        home.len += 1;
        if self.toward == Toward::Farthest {
            // Members are fewer than 2^32, as entries are.
            #[allow(clippy::cast_possible_truncation)]
            let member = home.members.len() as u32;
            node.member = member;
            home.members.push(entry);
        }
        let step = key >> FRACTION_BITS;
        if step << FRACTION_BITS == key && home.wheel.covers(step) {
            home.wheel.insert(&mut self.nodes, entry, step);
            self.moves += 1;
        } else {
            self.stamp += 1;
            let key = if self.toward == Toward::Farthest { !key } else { key };
            self.moves += home.heap.push(&mut self.nodes, entry, key, self.stamp);
        }
    }

    /// Takes an entry out, if it is in.
    pub fn remove(&mut self, entry: u32) {
        let Some(node) = self.nodes.get(entry as usize) else { return };
        let home = &mut self.classes[usize::from(node.class)];
        let member = node.member as usize;
        match node.home {
            Home::Out => return,
            Home::Wheel(slot) => {
                home.wheel.remove(&mut self.nodes, entry, slot);
                self.moves += 1;
            }
            Home::Heap(at) => self.moves += home.heap.remove(&mut self.nodes, at),
        }
        home.len -= 1;
        if self.toward == Toward::Farthest {
            home.members.swap_remove(member);
            if let Some(moved) = home.members.get(member) {
                #[allow(clippy::cast_possible_truncation)]
                let position = member as u32;
                self.nodes[*moved as usize].member = position;
            }
        }
        self.nodes[entry as usize].home = Home::Out;
    }

    /// The top entry of a class, and its key.
    #[must_use]
    pub fn top(&self, class: u8) -> Option<(u64, u32)> {
        let home = self.classes.get(usize::from(class))?;
        let near = match self.toward {
            Toward::Nearest => home.wheel.nearest(),
            Toward::Farthest => home.wheel.farthest(),
        };
        let keyed = |entry: u32| (self.nodes[entry as usize].key, entry);
        match (near.map(keyed), home.heap.top().map(keyed)) {
            (Some(wheel), Some(heap)) => {
                let wheel_first = match self.toward {
                    Toward::Nearest => wheel.0 <= heap.0,
                    Toward::Farthest => wheel.0 >= heap.0,
                };
                Some(if wheel_first { wheel } else { heap })
            }
            (wheel, heap) => wheel.or(heap),
        }
    }

    /// Any entry of a class, all with the same chance; `None` also of orders toward the nearest, of which
    /// nobody draws.
    #[must_use]
    pub fn any(&self, class: u8, random: &mut Random) -> Option<u32> {
        let members = &self.classes.get(usize::from(class))?.members;
        let at = usize::try_from(random.below(members.len() as u64)).ok()?;
        members.get(at).copied()
    }

    /// How many entries a class has.
    #[must_use]
    pub fn len(&self, class: u8) -> usize {
        self.classes.get(usize::from(class)).map_or(0, |class| class.len)
    }

    /// Whether no class has an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.len == 0)
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> u8 {
        u8::try_from(self.classes.len()).unwrap_or(u8::MAX)
    }

    /// Whether an entry is in, and its key.
    #[must_use]
    pub fn key(&self, entry: u32) -> Option<u64> {
        let node = self.nodes.get(entry as usize)?;
        (node.home != Home::Out).then_some(node.key)
    }

    /// Reads what a change of this entry's place will touch. The number means nothing.
    #[must_use]
    pub fn around(&self, entry: u32) -> u64 {
        let Some(node) = self.nodes.get(entry as usize) else { return 0 };
        let key = |entry: u32| self.nodes.get(entry as usize).map_or(0, |node| node.key);
        key(node.next) ^ key(node.previous)
    }

    /// Says that this step has begun.
    pub fn advance(&mut self, step: u64) {
        for class in &mut self.classes {
            self.moves += class.wheel.advance(&mut self.nodes, step);
        }
    }

    /// How many entries were put anywhere so far: the work done, without a clock.
    #[must_use]
    pub const fn moves(&self) -> u64 {
        self.moves
    }
}

#[cfg(test)]
mod tests;
