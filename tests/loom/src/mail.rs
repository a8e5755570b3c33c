//! M1, M2, M10, M11: blocks that other threads free.

use crate::explore::{Steps, deep, holds};
use crate::house::{Chunks, House, POOL, Plain, owner};
use crate::kernels::{FIRST_ITEM, Inbox, Kernels, NO_ITEM, Production};
use loom::thread;
use std::sync::Arc;

/// M1. Two threads send to an inbox that is opened and drained meanwhile: each chunk arrives once, whole,
/// and what an inbox refused stays with its sender. A chunk that arrived is used again.
#[test]
fn each_chunk_that_is_sent_arrives_once() {
    holds("M1", [3, 5], remote_send::<Production>);
}

struct Mail<K: Kernels> {
    inbox: K::Inbox,
    chunks: Chunks,
    /// The heap behind the inbox: set up before it opens.
    record: Plain<bool>,
    steps: Steps,
}

pub fn remote_send<K: Kernels>() {
    let each = if deep() { 2 } else { 1 };
    let mail = Arc::new(Mail::<K> {
        inbox: K::Inbox::closed(),
        chunks: Chunks::new(2 * each),
        record: Plain::new(false),
        steps: Steps::new(),
    });
    let senders = [0, 1].map(|sender| {
        let mail = Arc::clone(&mail);
        thread::spawn(move || {
            let own = sender * each..(sender + 1) * each;
            own.filter(|&block| !send(&mail, block)).collect::<Vec<_>>()
        })
    });
    mail.record.write(|ready| *ready = true);
    mail.inbox.open();
    mail.steps.step();
    let mut seen = vec![0; 2 * each];
    let mut again = None;
    mail.chunks.each(mail.inbox.drain(), |chunk, block| {
        seen[block] += 1;
        again = Some((chunk, block));
    });
    // The pool gives an empty chunk to whoever asks, so its number may come to this inbox again.
    if let Some((chunk, block)) = again {
        mail.chunks.fill(chunk, block);
        mail.steps.step();
        assert!(mail.inbox.send(chunk, &mail.chunks), "the inbox is open");
        seen[block] -= 1;
    }
    for sender in senders {
        for block in sender.join().expect("no assertion failed") {
            seen[block] += 1;
        }
    }
    mail.chunks.each(mail.inbox.drain(), |_, block| seen[block] += 1);
    assert_eq!(mail.inbox.close(), NO_ITEM, "drained");
    assert!(seen.iter().all(|&times| times == 1), "arrived or kept, and once: {seen:?}");
}

fn send<K: Kernels>(mail: &Mail<K>, block: usize) -> bool {
    let chunk = FIRST_ITEM + block;
    mail.chunks.fill(chunk, block);
    mail.steps.step();
    let sent = mail.inbox.send(chunk, &mail.chunks);
    assert!(!sent || mail.record.read(|ready| *ready), "an open inbox has a heap behind it");
    sent
}

/// M2. A thread exits while two others free its blocks, and its heap and slab go to the next thread: every
/// block reaches the slab once, nothing is stranded in the inbox.
#[test]
fn nothing_is_stranded_when_a_heap_changes_its_thread() {
    holds("M2", [3, 4], adoption::<Production>);
}

pub fn adoption<K: Kernels>() {
    let house = Arc::new(House::<K>::with_owner().that_reopens());
    let senders = [0, 1].map(|block| {
        let house = Arc::clone(&house);
        thread::spawn(move || house.free(block, FIRST_ITEM + block, None))
    });
    house.exit(0);
    // The next thread. The lock orders all it does after all that the last one did, so for the senders it
    // is no other than that: one thread less for loom to interleave.
    assert_eq!(house.begin_idle(), Some(0));
    assert!(house.adopt(0));
    house.drain(0);
    for sender in senders {
        sender.join().expect("no assertion failed");
    }
    house.drain(0);
    assert_eq!(house.inboxes[0].close(), NO_ITEM, "nothing is left in the inbox");
    assert_eq!(house.tally().freed[..2], [1, 1], "each block is freed once");
    assert_eq!(house.tally().reported, [0; 4]);
}

/// M10. A thread exits while another frees a block of it, and then frees one itself: both reach the slab
/// without anybody draining, and a refused block is not routed to the dead heap again.
#[test]
fn a_late_free_meets_a_closed_inbox_and_the_right_owner() {
    holds("M10", [4, 5], late_free::<Production>);
}

pub fn late_free<K: Kernels>() {
    let late = if deep() { 2 } else { 1 };
    let house = Arc::new(House::<K>::with_owner());
    let threads: Vec<_> = (0..late)
        .map(|block| {
            let house = Arc::clone(&house);
            thread::spawn(move || house.free(block, FIRST_ITEM + block, None))
        })
        .collect();
    house.exit(0);
    house.free(late, FIRST_ITEM + late, None);
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_eq!(house.owner(), POOL);
    assert_eq!(house.inboxes[0].drain(), NO_ITEM, "a closed inbox took a chunk");
    assert!(house.tally().freed[..=late].iter().all(|&times| times == 1), "each is freed once");
}

/// M11. Two threads free the same block while its owner exits: one of them frees it, the other is
/// reported. The live bit has one writer at a time.
#[test]
fn of_two_frees_of_a_block_one_wins_and_one_is_reported() {
    holds("M11", [3, 6], double_free::<Production>);
    holds("M11", [6, 8], double_free_of_own::<Production>);
}

pub fn double_free<K: Kernels>() {
    let house = Arc::new(House::<K>::with_owner());
    let threads = [0, 1].map(|sender| {
        let house = Arc::clone(&house);
        thread::spawn(move || house.free(0, FIRST_ITEM + sender, None))
    });
    house.drain(0);
    house.exit(0);
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_eq!((house.tally().freed[0], house.tally().reported[0]), (1, 1));
}

pub fn double_free_of_own<K: Kernels>() {
    let house = Arc::new(House::<K>::with_owner());
    let other = {
        let house = Arc::clone(&house);
        thread::spawn(move || house.free(0, FIRST_ITEM, None))
    };
    house.drain(0);
    house.free(0, FIRST_ITEM + 1, Some(0));
    other.join().expect("no assertion failed");
    house.drain(0);
    assert_eq!(house.owner(), owner(0));
    assert_eq!((house.tally().freed[0], house.tally().reported[0]), (1, 1));
}
