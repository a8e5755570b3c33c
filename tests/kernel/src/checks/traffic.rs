//! Producers and consumers: every CPU allocates what another frees, in both directions at the same time.

use super::pattern::{Filled, Random};
use crate::{boot::CPUS, work};
use ace_alloc::SpinLock;
use alloc::{boxed::Box, collections::VecDeque};
use lock_api::Mutex;

const MESSAGES: u64 = 20_000;
/// Messages under way to one CPU.
const QUEUE: usize = 200;

struct Message {
    number: u64,
    content: Filled,
    sum: u64,
}

impl Message {
    fn new(number: u64, random: &mut Random) -> Box<Self> {
        let bytes = random.bytes();
        let content = Filled::new(bytes, number as u8).expect("memory for a message");
        Box::new(Self { number, content, sum: number.rotate_left(17) })
    }

    /// Drops the message, which looks at what its content is filled with.
    fn arrived_as(self, number: u64) {
        assert_eq!(
            (self.number, self.sum),
            (number, number.rotate_left(17)),
            "in order, and whole"
        );
        drop(self.content);
    }
}

static QUEUES: [Mutex<SpinLock, VecDeque<Box<Message>>>; CPUS] =
    [const { Mutex::new(VecDeque::new()) }; CPUS];

/// See the module's documentation.
pub fn check() {
    work::on_all(|own| {
        let next = (own + 1) % CPUS;
        let mut random = Random::new(own as u64);
        let (mut sent, mut received) = (0, 0);
        while sent < MESSAGES || received < MESSAGES {
            if sent < MESSAGES && QUEUES[next].lock().len() < QUEUE {
                let message = Message::new(sent, &mut random);
                QUEUES[next].lock().push_back(message);
                sent += 1;
            }
            let arrived = QUEUES[own].lock().pop_front();
            if let Some(message) = arrived {
                message.arrived_as(received);
                received += 1;
            }
        }
        *QUEUES[own].lock() = VecDeque::new();
        work::meet();
    });
}
