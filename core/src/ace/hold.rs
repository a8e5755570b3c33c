//! The policy that never moves anything: the shape of a policy, and the control in comparisons.
//! Floor: garden.

use super::{Orders, Policy, Seen};
use crate::dials::Dials;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Hold;

impl Policy for Hold {
    fn decide(&mut self, _: &Seen, _: &Dials, _: &mut Orders) {}
}
