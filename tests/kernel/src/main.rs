//! A minimal kernel on two CPUs with ACE-Alloc as its global allocator.
//!
//! | file | what |
//! |---|---|
//! | `boot` | from the loader to Rust, on every CPU; memory map, command line |
//! | `cpu`, `work` | what each CPU has for itself; work on all of them |
//! | `interrupts`, `apic` | timer, single steps, faults; waking CPUs |
//! | `serial`, `ports`, `memory` | saying things; I/O; copying bytes |
//! | `lock`, `storage` | the kernel's locks; static memory for heaps |
//! | `heap` | the global allocator: this is what a kernel has to write to use ACE-Alloc |
//! | `checks` | what it must stand |
//! | `measure`, `paths`, `peers` | instructions of each call of a heap, of the longest, and of others' heaps |
//!
//! The command line chooses: nothing = all checks; `misuse global double free` = that mistake, which ends the
//! kernel; `measure` = instruction counts, for a machine that counts them (`-icount`).

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
mod paths;
#[cfg(feature = "peers")]
mod peers;
mod ports;
mod serial;
mod storage;
mod work;

use serial::Verdict;

/// Period of the timers.
const TICK_US: u32 = 1000;

/// First Rust code of every CPU, called by `boot.s` with the number of the CPU.
#[unsafe(no_mangle)]
extern "C" fn cpu_begins(number: usize) -> ! {
    if number == 0 {
        serial::begin();
        interrupts::describe();
    }
    cpu::begin(number);
    interrupts::load();
    apic::begin();
    if number == 0 {
        heap::begin(boot::free_memory());
    }
    cpu::this().set_period_us(TICK_US);
    interrupts::enable();
    if number == 0 { run(boot::command_line()) } else { work::serve() }
}

/// What the command line asks for.
fn run(line: &str) -> ! {
    match line.split_once(' ') {
        Some(("misuse", mistake)) => checks::end_by(mistake),
        None if line == "measure" => measure::run(),
        _ => {
            cpu::start_others();
            checks::run();
        }
    }
    serial::exit(Verdict::Passed)
}

/// Last words.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    interrupts::disable();
    serial::write_last_line(format_args!("{info}"));
    serial::exit(Verdict::Failed)
}
