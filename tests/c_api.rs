//! The C API of `libace_alloc.so`, met from C: small programs in `c/`, compiled by the test with the
//! system's `cc` and run with the library preloaded.

use ace_alloc_tests::product::library;
use ace_alloc_tests::programs::{Outcome, Scratch, compile, preloaded, program, run};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;

const ABORTED: i32 = 128 + libc::SIGABRT;

fn assert_good(name: &str, outcome: &Outcome) {
    let said = format!("{}\n{}", outcome.out, outcome.err);
    assert_eq!(outcome.code, 0, "{name} says:\n{said}");
    assert!(outcome.out.ends_with(" 0 broken\n"), "{name} says:\n{said}");
}

fn runs_clean(name: &str) {
    let scratch = Scratch::new(name);
    let outcome = run(&mut preloaded(compile(name, &scratch)));
    assert_good(name, &outcome);
    assert!(outcome.mapped.contains(name), "{name} ran without the library");
}

#[test]
fn every_function_of_the_c_contract_keeps_it() {
    let scratch = Scratch::new("contract");
    assert_good("contract", &run(&mut preloaded(compile("contract", &scratch))));
}

#[test]
fn children_forked_while_threads_allocate_have_a_working_heap() {
    runs_clean("fork");
}

#[test]
fn threads_that_come_and_go_leave_no_memory_behind() {
    runs_clean("threads");
}

#[test]
fn the_library_can_be_opened_at_run_time() {
    let scratch = Scratch::new("dlopen");
    let mut command = Command::new(compile("dlopen", &scratch));
    assert_good("dlopen", &run(command.arg(library())));
}

#[test]
fn malloc_answers_null_when_address_space_is_short_and_recovers() {
    let scratch = Scratch::new("limits");
    let made = compile("limits", &scratch);
    for mebibytes in [64, 200, 1000] {
        let mut command = preloaded(&made);
        let limit = libc::rlimit { rlim_cur: mebibytes << 20, rlim_max: mebibytes << 20 };
        // SAFETY: setrlimit is async-signal-safe, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                let failed = libc::setrlimit(libc::RLIMIT_AS, &raw const limit);
                if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        assert_good(&format!("limits with {mebibytes} MiB"), &run(&mut command));
    }
}

#[test]
fn misuse_stops_the_program_with_the_reason() {
    let scratch = Scratch::new("misuse");
    let made = compile("misuse", &scratch);
    let commit = |crime: &str| run(preloaded(&made).arg(crime));
    let innocent = commit("none");
    assert_eq!((innocent.code, &*innocent.out, &*innocent.err), (0, "survived\n", ""));
    let mut crimes = vec![("stack", "not a pointer"), ("wild", "not a pointer")];
    if cfg!(not(feature = "unchecked")) {
        crimes.extend([("double", "double free"), ("realloc", "double free")]);
        crimes.extend([("interior", "middle of a block"), ("unaligned", "middle of a block")]);
    }
    for (crime, reason) in crimes {
        let outcome = commit(crime);
        let said = format!("{crime}: {}{}", outcome.out, outcome.err);
        assert_eq!(outcome.code, ABORTED, "{said}");
        assert!(outcome.err.contains(reason) && outcome.err.contains("0x"), "{said}");
        assert_eq!(outcome.err.lines().count(), 1, "one line: {said}");
        assert!(!outcome.out.contains("survived"), "{said}");
    }
    let mut ignoring = preloaded(&made);
    let ignored = run(ignoring.arg("stack").env("ACE_FOREIGN_FREE", "ignore"));
    assert_eq!((ignored.code, &*ignored.out), (0, "survived\n"), "{}", ignored.err);
}

/// Names of the dynamic symbols that the library defines (`true`) or wants (`false`).
fn symbols(defined: bool) -> BTreeSet<String> {
    let mut nm = Command::new(program("nm", "binutils"));
    let which = if defined { "--defined-only" } else { "--undefined-only" };
    let outcome = run(nm.args(["--dynamic", which]).arg(library()));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let name = |line: &str| line.split_whitespace().last().map(String::from);
    let bare = |name: String| name.split('@').next().map(String::from);
    outcome.out.lines().filter_map(name).filter_map(bare).collect()
}

#[test]
fn the_library_exports_the_whole_family_and_leaves_the_rest_to_libc() {
    let exported = symbols(true);
    let family = "malloc calloc realloc free posix_memalign aligned_alloc memalign valloc pvalloc \
        malloc_usable_size malloc_trim mallinfo mallinfo2 mallopt malloc_info malloc_stats free_sized \
        free_aligned_sized cfree __libc_malloc __libc_calloc __libc_realloc __libc_free \
        __libc_memalign __libc_valloc __libc_pvalloc __posix_memalign";
    let missing: Vec<_> =
        family.split_whitespace().filter(|name| !exported.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "missing from the library");
    for not_ours in ["reallocarray", "strdup", "_Znwm", "_ZdlPv", "rust_eh_personality"] {
        assert!(!exported.contains(not_ours), "{not_ours} is not ours to define");
    }
}

#[test]
fn the_library_needs_no_call_to_find_its_thread() {
    assert!(!symbols(false).contains("__tls_get_addr"));
}
