//! The agents that own a state, by what is believed of them, nearest first. Floor: first.
//!
//! Most states have one owner, and a prediction of it takes it out and puts it in again: that is one
//! assignment. What many share is in a set, because there an update should not cost more than O(log n).

use crate::{distance::NextUse, state::AgentId};
use alloc::collections::BTreeSet;

type Owner = (NextUse, AgentId);

#[derive(Debug)]
pub(super) enum Owners {
    AtMostOne(Option<Owner>),
    Many(BTreeSet<Owner>),
}

impl Owners {
    pub fn nearest(&self) -> NextUse {
        let first = match self {
            Self::AtMostOne(owner) => owner.as_ref(),
            Self::Many(owners) => owners.first(),
        };
        first.map_or(NextUse::UNKNOWN, |owner| owner.0)
    }

    pub fn insert(&mut self, owner: Owner) {
        match self {
            Self::AtMostOne(Some(other)) if *other != owner => {
                *self = Self::Many(BTreeSet::from([*other, owner]));
            }
            Self::AtMostOne(only) => *only = Some(owner),
            Self::Many(owners) => {
                owners.insert(owner);
            }
        }
    }

    pub fn remove(&mut self, owner: Owner) {
        match self {
            Self::AtMostOne(only) => *only = only.filter(|only| *only != owner),
            Self::Many(owners) => {
                owners.remove(&owner);
            }
        }
    }

    pub fn agents(&self) -> impl Iterator<Item = AgentId> {
        let (one, many) = match self {
            Self::AtMostOne(owner) => (*owner, None),
            Self::Many(owners) => (None, Some(owners)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied()).map(|owner| owner.1)
    }
}
