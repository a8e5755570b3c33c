//! `AceAlloc` as the global allocator of a program whose thread-locals have destructors that allocate
//! and free, before and after the allocator's own exit hook, and hand blocks to other threads.

use ace_alloc_linux::AceAlloc;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[global_allocator]
static ALLOCATOR: AceAlloc = AceAlloc::new();

static LEFT_BEHIND: Mutex<Vec<Box<[usize]>>> = Mutex::new(Vec::new());
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Allocates when it is dropped, and touches the other thread-local, which may be gone.
struct Last {
    name: String,
    map: HashMap<usize, String>,
}

impl Last {
    fn new(name: &str) -> Self {
        let map = (0..20).map(|number| (number, format!("{name} {number}"))).collect();
        Self { name: name.into(), map }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let mut late: Vec<String> = (0..200).map(|n| format!("{} late {n}", self.name)).collect();
        assert_eq!(late[199], format!("{} late 199", self.name));
        assert_eq!(self.map[&7], format!("{} 7", self.name));
        late.truncate(100);
        late.shrink_to_fit();
        let left: Box<[usize]> = (0..late.len()).collect();
        LEFT_BEHIND.lock().expect("no thread panicked").push(left);
        let _ = FIRST.try_with(|other| other.borrow_mut().map.insert(99, "late".into()));
        let _ = SECOND.try_with(|other| other.borrow_mut().map.insert(99, "late".into()));
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static FIRST: RefCell<Last> = RefCell::new(Last::new("first"));
    static SECOND: RefCell<Last> = RefCell::new(Last::new("second"));
}

#[test]
fn destructors_of_thread_locals_can_allocate_and_free() {
    const THREADS: usize = 300;
    for number in 0..THREADS {
        let one = thread::spawn(move || {
            // Before the allocator has met this thread, after it, and in both orders.
            if number % 2 == 0 {
                FIRST.with(|last| last.borrow_mut().map.insert(40, "early".into()));
            }
            let own: Vec<Box<usize>> = (0..100).map(Box::new).collect();
            SECOND.with(|last| last.borrow_mut().map.insert(41, "early".into()));
            FIRST.with(|last| last.borrow_mut().map.insert(42, "early".into()));
            own.len()
        });
        assert_eq!(one.join().expect("the thread ends well"), 100);
    }
    assert_eq!(ENDED.load(Ordering::Relaxed), 2 * THREADS, "destructors run");
    let left = std::mem::take(&mut *LEFT_BEHIND.lock().expect("no thread panicked"));
    assert_eq!(left.len(), 2 * THREADS);
    assert!(
        left.iter().all(|numbers| numbers.iter().copied().eq(0..100)),
        "blocks of dead threads"
    );
}
