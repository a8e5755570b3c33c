//! A program with a tender gives its memory back while it sleeps, also in a forked child, and ends when it
//! would have ended without one. The programs are `c/tended.c`.

use ace_alloc_tests::programs::{Scratch, compile, preloaded, run};

/// Runs `tended WHAT` in the profile that keeps 64 MiB of free memory until ACE says otherwise.
fn tended(what: &str, tender: &str) {
    let scratch = Scratch::new(what);
    let mut command = preloaded(compile("tended", &scratch));
    command.env("ACE_PROFILE", "full").env("ACE_TENDER", tender);
    let outcome = run(command.arg(what));
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(outcome.out.ends_with(" 0 broken\n"), "{}", outcome.out);
}

#[test]
fn without_a_tender_a_program_that_sleeps_keeps_what_it_may_keep() {
    tended("stays", "0");
}

#[test]
fn with_a_tender_a_program_that_sleeps_gives_its_free_memory_back() {
    tended("falls", "1");
}

#[test]
fn a_forked_child_gets_a_tender_of_its_own() {
    tended("forks", "1");
}

#[test]
fn a_program_whose_main_thread_has_left_ends_in_spite_of_the_tender() {
    tended("leaves", "1");
}
