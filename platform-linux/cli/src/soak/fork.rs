//! Forks while the other threads allocate: the child looks at what it inherited, frees some of it, asks
//! for more, and says with its exit code how that went. Floor: tool.

use super::{
    actor::Actor,
    block::{Block, Promise},
    message::{Message, say},
    mix::{self, Mix},
};
use crate::child;
use std::{
    ffi::c_void,
    mem::MaybeUninit,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    ptr, thread,
    time::{Duration, Instant},
};

/// Pause between two forks: each copies the page tables of all that lives.
const PAUSE: Duration = Duration::from_millis(150);
const POLL: Duration = Duration::from_micros(500);
/// Inherited blocks that a child looks at; each page it touches is copied.
const MOST_INHERITED: usize = 4000;
const MOST_BLOCKS: usize = 400;

/// The thread that forks now and then.
pub struct Forker {
    next: Instant,
    patience: Duration,
}

impl Forker {
    /// `patience`: how long a child may take.
    pub fn new(patience: Duration) -> Self {
        Self { next: Instant::now(), patience }
    }

    /// Forks if it is time to.
    pub fn perhaps(&mut self, actor: &mut Actor) -> Promise<()> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let forked = self.fork(actor);
        self.next = Instant::now() + PAUSE;
        forked
    }

    fn fork(&self, actor: &mut Actor) -> Promise<()> {
        let floor = actor.floor;
        // Held across the fork, so that in the child too these blocks are whole and nobody's.
        let mut shelf = floor.slot(&mut actor.random);
        // SAFETY: the child uses the allocator, which is what is tested here, and no lock of this
        // process but the one held; it ends with _exit.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: alarm has no preconditions. Should the parent die, the child still ends.
            unsafe { libc::alarm(u32::try_from(2 * self.patience.as_secs() + 10).unwrap_or(600)) };
            let outcome = child_life(actor, &mut shelf);
            if let Err(what) = &outcome {
                say(&Message::Finding(format!("in a forked child: {what}")));
            }
            // SAFETY: _exit has no preconditions; exit handlers are the parent's.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        drop(shelf);
        if pid < 0 {
            return Err(format!("fork: {}", std::io::Error::last_os_error()));
        }
        floor.count_fork();
        self.wait(pid, actor)
    }

    fn wait(&self, pid: libc::pid_t, actor: &Actor) -> Promise<()> {
        let limit = Instant::now() + self.patience;
        loop {
            let looked = child::look(pid.cast_unsigned());
            match looked.map_err(|error| format!("a forked child can't be waited for: {error}"))? {
                Some(ended) => return judge(ended.status, actor),
                None if Instant::now() < limit => thread::sleep(POLL),
                None => break,
            }
        }
        // SAFETY: our own child, not waited for yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let _ = child::look(pid.cast_unsigned());
        Err(format!("a forked child hung: it did not end within {:?}", self.patience))
    }
}

fn judge(status: ExitStatus, actor: &Actor) -> Promise<()> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        // It said itself what it found.
        (Some(1), _) => {
            actor.floor.end();
            Ok(())
        }
        (_, Some(signal)) => Err(format!("a forked child was ended by signal {signal}")),
        (code, None) => Err(format!("a forked child ended with exit code {code:?}")),
    }
}

/// The child's whole life. Its counts are its own and go nowhere.
fn child_life(actor: &mut Actor, shelf: &mut Vec<Block>) -> Promise<()> {
    for block in actor.mine.iter().chain(shelf.iter()).take(MOST_INHERITED) {
        block.check("inherited")?;
    }
    // Of this thread, and of threads that the child does not have.
    let own = actor.mine.len().min(MOST_INHERITED) / 2;
    for block in actor.mine.drain(..own).chain(shelf.drain(..)) {
        block.free("inherited")?;
    }
    let mut fresh = Vec::new();
    for _ in 0..actor.random.usize(..MOST_BLOCKS) {
        let bytes = Mix::Real.size(&mut actor.random).min(256 << 10);
        fresh.push(Block::ask(mix::call(&mut actor.random), bytes, actor.random.u64(..))?);
    }
    if actor.random.u32(0..4) == 0 {
        let block = Block::ask(mix::call(&mut actor.random), 5000, actor.random.u64(..))?;
        free_elsewhere(block)?;
    }
    if actor.random.u32(0..4) == 0 {
        // SAFETY: malloc_trim has no preconditions.
        unsafe { libc::malloc_trim(0) };
    }
    fresh.into_iter().try_for_each(|block| block.free("of a child"))
}

/// Frees a block in another thread. One of the C library's alone: Rust's threads take a lock of its runtime as
/// they begin, and at the fork another thread may have held that.
fn free_elsewhere(block: Block) -> Promise<()> {
    type Place = (Option<Block>, Promise<()>);

    extern "C" fn run(place: *mut c_void) -> *mut c_void {
        // SAFETY: the place of the function around, which waits and does not look meanwhile.
        let (block, outcome) = unsafe { &mut *place.cast::<Place>() };
        if let Some(block) = block.take() {
            *outcome = block.free("in a child's thread");
        }
        ptr::null_mut()
    }

    let mut place: Place = (Some(block), Ok(()));
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: valid places, which outlive the thread: it is joined below.
    let made = unsafe {
        libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, (&raw mut place).cast())
    };
    if made != 0 {
        let why = std::io::Error::from_raw_os_error(made);
        return Err(format!("no thread can be started: {why}"));
    }
    // SAFETY: it was made just now, and nobody else joins it.
    unsafe { libc::pthread_join(thread.assume_init(), ptr::null_mut()) };
    place.1
}
