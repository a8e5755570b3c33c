//! Huge pages behind superslabs that are used well. Verbs: promote, demote. Floor: 1st.

use super::{Locked, Shared};
use crate::{
    arena::Arena, dials::Dial, geometry::Geometry, pages::PageProvider, platform::Platform,
    superslab::Supers,
};

impl<P: Platform> Locked<'_, P> {
    /// Asks for huge pages behind Live superslabs that are used as much as the dial says, at most
    /// `budget` of them. Returns how many. The system may copy each of them, under the lock: a few
    /// a call.
    #[cold]
    #[inline(never)]
    pub fn promote(&mut self, budget: usize) -> usize {
        let permille = self.shared.dials.get(Dial::PromotePermille);
        let (arena, step) = (self.arena, P::Geometry::SUPERSLAB_UNITS);
        let numbers = self.spans.committed() / step;
        let mut promoted = 0;
        while permille > 0
            && promoted < budget
            && let Some(number) = self.supers.next_to_promote(arena, numbers, permille)
        {
            // SAFETY: the units of a superslab are committed.
            if !unsafe { self.shared.pages.promote(arena.region(number * step, step)) } {
                break;
            }
            self.supers.set_promoted(arena, number, true);
            promoted += 1;
        }
        promoted
    }
}

/// Small pages again, if it was huge ones: before pages inside are given back, or all of the
/// superslab.
pub(super) fn demote<P: Platform>(
    shared: &Shared<P>,
    arena: &Arena<P::Geometry>,
    supers: &mut Supers,
    number: u32,
) {
    if arena.superslab(number).is_promoted() {
        let step = P::Geometry::SUPERSLAB_UNITS;
        // SAFETY: the superslab was promoted.
        unsafe { shared.pages.demote(arena.region(number * step, step)) };
        supers.set_promoted(arena, number, false);
    }
}
