//! Promises of the whole heap under many schedules; see the package's library for how to run and
//! replay them.

#![cfg(shuttle)]

/// A promise to be explored, as a test for each geometry.
macro_rules! promise {
    ($name:ident, $scenario:ident) => {
        mod $name {
            use ace_alloc_shuttle::explore::explore;
            use ace_alloc_shuttle::platform::{Tables, Tails};

            #[test]
            fn tables() {
                explore(concat!(stringify!($name), "::tables"), super::$scenario::<Tables>);
            }

            #[test]
            fn tails() {
                explore(concat!(stringify!($name), "::tails"), super::$scenario::<Tails>);
            }
        }
    };
}

mod crimes;
mod exchange;
mod exit;
mod pages;
mod planted;
mod visits;
