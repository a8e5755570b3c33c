//! A minimal kernel on two CPUs with ACE-Alloc as its global allocator.
//!
//! | file | what |
//! |---|---|
//! | `boot` | from the loader to Rust, on every CPU; memory map, command line |
//! | `cpu` | what each CPU has for itself; work on all of them |
//! | `interrupts`, `apic` | timer, single steps, faults; waking CPUs |
//! | `serial`, `ports`, `memory` | saying things; I/O; copying bytes |
//! | `heap` | the global allocator: this is what a kernel has to write to use ACE-Alloc |
//! | `checks` | what it must stand |
//! | `measure` | instructions of each call of a heap over one region |
//!
//! The command line chooses: nothing = all checks; `misuse` = a double free, which ends the kernel;
//! `measure` = instruction counts, for a machine that counts them (`-icount`).

#![no_std]
#![no_main]

extern crate alloc;

mod apic;
mod boot;
mod checks;
mod cpu;
mod heap;
mod interrupts;
mod lock;
mod measure;
mod memory;
mod ports;
mod serial;

use serial::Verdict;

/// CPU 0 is set up; the others sleep.
fn main() -> ! {
    serial::begin();
    let line = boot::command_line();
    heap::begin(boot::free_memory());
    apic::start_timer();
    interrupts::enable();
    match line.split_once(' ') {
        Some(("misuse", reason)) => checks::end_by(reason),
        None if line == "measure" => measure::run_all(),
        _ => {
            cpu::start_others();
            checks::run();
        }
    }
    serial::exit(Verdict::Passed)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    interrupts::disable();
    serial::write_last_line(format_args!("{info}"));
    serial::exit(Verdict::Failed)
}
