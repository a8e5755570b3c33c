//! The seeded bugs: what is changed in which protocol, and the model that must find it.

/// A changed copy of `core/src/protocol/<file>.rs`: the only occurrence of `find` becomes `replace`.
pub struct Mutant {
    pub name: &'static str,
    pub file: &'static str,
    pub find: &'static str,
    pub replace: &'static str,
    /// What the change breaks.
    pub why: &'static str,
    /// Number and path of the model.
    pub number: &'static str,
    pub model: &'static str,
}

const M1: (&str, &str) = ("M1", "mail::remote_send");
const M2: (&str, &str) = ("M2", "mail::adoption");
const M3: (&str, &str) = ("M3", "slabs::two_adopters");
const M4: (&str, &str) = ("M4", "superslabs::drain_and_free");
const M5: (&str, &str) = ("M5", "superslabs::reuse");
const M6: (&str, &str) = ("M6", "superslabs::retire");
const M7: (&str, &str) = ("M7", "control::event_ring");
const M8: (&str, &str) = ("M8", "control::dials");
const M9: (&str, &str) = ("M9", "locks::fork");
const M10: (&str, &str) = ("M10", "mail::late_free");
const M11: (&str, &str) = ("M11", "mail::double_free");
const M11_OWN: (&str, &str) = ("M11", "mail::double_free_of_own");
const M12: (&str, &str) = ("M12", "visits::visit");
const LOCK: (&str, &str) = ("lock", "locks::one_holder");

const fn mutant(
    (number, model): (&'static str, &'static str),
    name: &'static str,
    file: &'static str,
    [find, replace]: [&'static str; 2],
    why: &'static str,
) -> Mutant {
    Mutant { name, file, find, replace, why, number, model }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    mutant(
        M1,
        "inbox-send-relaxed",
        "inbox",
        [", Ordering::Release, Ordering::Acquire)", ", Ordering::Relaxed, Ordering::Acquire)"],
        "The owner may find the number of a chunk before its blocks are written.",
    ),
    mutant(
        M1,
        "inbox-drain-relaxed",
        "inbox",
        ["swap(OPEN, Ordering::Acquire)", "swap(OPEN, Ordering::Relaxed)"],
        "The same, seen from the owner's side.",
    ),
    mutant(
        M1,
        "inbox-drain-in-two-steps",
        "inbox",
        [
            "let head = self.word.swap(OPEN, Ordering::Acquire);",
            "let head = self.word.load(Ordering::Acquire);\n        \
             self.word.store(OPEN, Ordering::Release);",
        ],
        "A chunk that is sent between the two is lost.",
    ),
    mutant(
        M1,
        "inbox-send-drops-older",
        "inbox",
        ["else { head });", "else { 0 });"],
        "The newest chunk does not link the older ones.",
    ),
    mutant(
        M1,
        "inbox-open-relaxed",
        "inbox",
        ["self.word.store(OPEN, Ordering::Release);", "self.word.store(OPEN, Ordering::Relaxed);"],
        "A sender may find the inbox open before the heap behind it is set up.",
    ),
    mutant(
        M2,
        "inbox-close-in-two-steps",
        "inbox",
        [
            "let head = self.word.swap(CLOSED, Ordering::AcqRel);",
            "let head = self.word.load(Ordering::Acquire);\n        \
             self.word.store(CLOSED, Ordering::Release);",
        ],
        "A chunk that is sent between taking and closing is stranded.",
    ),
    mutant(
        M2,
        "inbox-close-without-acquire",
        "inbox",
        ["swap(CLOSED, Ordering::AcqRel)", "swap(CLOSED, Ordering::Release)"],
        "The exiting owner may read a chunk before it was written.",
    ),
    mutant(
        M2,
        "inbox-close-stays-open",
        "inbox",
        ["swap(CLOSED, Ordering::AcqRel)", "swap(OPEN, Ordering::AcqRel)"],
        "A chunk that is sent after the exit waits for an owner who may never come.",
    ),
    mutant(
        M10,
        "inbox-close-without-release",
        "inbox",
        ["swap(CLOSED, Ordering::AcqRel)", "swap(CLOSED, Ordering::Acquire)"],
        "A refused sender may still see the old owner in the route.",
    ),
    mutant(
        M10,
        "inbox-refusal-relaxed",
        "inbox",
        [
            "let mut head = self.word.load(Ordering::Acquire);",
            "let mut head = self.word.load(Ordering::Relaxed);",
        ],
        "The same, where the first look finds the inbox closed.",
    ),
    mutant(
        M10,
        "inbox-late-refusal-relaxed",
        "inbox",
        [", Ordering::Release, Ordering::Acquire)", ", Ordering::Release, Ordering::Relaxed)"],
        "The same, where the inbox is closed between look and send.",
    ),
    mutant(
        M10,
        "inbox-send-into-closed",
        "inbox",
        ["if head == CLOSED {", "if head == CLOSED && self.word.load(Ordering::Relaxed) != head {"],
        "A closed inbox takes a chunk that nobody will drain.",
    ),
    mutant(
        M11,
        "live-retire-always",
        "live",
        ["if bits & bit == 0 {", "if bit == 0 {"],
        "The second free of a block wins as well.",
    ),
    mutant(
        M11_OWN,
        "live-retire-keeps-bit",
        "live",
        ["word.set(bits.wrapping_sub(bit));", "let _ = bits;"],
        "The bit outlives the free, so the next free wins as well.",
    ),
    mutant(
        M3,
        "lock-try-in-two-steps",
        "parking",
        [
            "lock.word().compare_exchange(UNLOCKED, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()",
            "let free = lock.word().load(Ordering::Acquire) == UNLOCKED;\n    \
             if free {\n        lock.word().store(LOCKED, Ordering::Relaxed);\n    }\n    free",
        ],
        "Two threads find the lock free and both take it.",
    ),
    mutant(
        M3,
        "lock-try-relaxed",
        "parking",
        [
            "LOCKED, Ordering::Acquire, Ordering::Relaxed)",
            "LOCKED, Ordering::Relaxed, Ordering::Relaxed)",
        ],
        "The new holder may not see what the last one wrote.",
    ),
    mutant(
        LOCK,
        "lock-contended-relaxed",
        "parking",
        ["swap(CONTENDED, Ordering::Acquire)", "swap(CONTENDED, Ordering::Relaxed)"],
        "The same for a holder who had to wait.",
    ),
    mutant(
        LOCK,
        "lock-sleeper-leaves-locked",
        "parking",
        [
            "while word.swap(CONTENDED, Ordering::Acquire) != UNLOCKED {",
            "while !try_lock(lock) {\n        \
             let _ = word.compare_exchange(LOCKED, CONTENDED, Ordering::Relaxed, Ordering::Relaxed);",
        ],
        "Of two sleepers the first to wake forgets the second.",
    ),
    mutant(
        M9,
        "lock-unlock-relaxed",
        "parking",
        ["swap(UNLOCKED, Ordering::Release)", "swap(UNLOCKED, Ordering::Relaxed)"],
        "A fork may copy half of what the last holder wrote.",
    ),
    mutant(
        M9,
        "lock-unlock-wakes-nobody",
        "parking",
        ["Ordering::Release) == CONTENDED {", "Ordering::Release) > CONTENDED {"],
        "Who slept while the process forked sleeps for ever.",
    ),
    mutant(
        M9,
        "lock-unlock-in-two-steps",
        "parking",
        [
            "if lock.word().swap(UNLOCKED, Ordering::Release) == CONTENDED {",
            "let seen = lock.word().load(Ordering::Relaxed);\n    \
             lock.word().store(UNLOCKED, Ordering::Release);\n    if seen == CONTENDED {",
        ],
        "Who falls asleep between the two is not woken.",
    ),
    mutant(
        M4,
        "tier-set-drops-pins",
        "tier",
        ["(word & !TIER_MASK) | tier as u32,", "tier as u32,"],
        "A superslab that becomes Draining forgets who looks into it.",
    ),
    mutant(
        M4,
        "tier-release-under-pin",
        "tier",
        [
            "let tier = self.word.load(Ordering::Relaxed) & TIER_MASK;",
            "let tier = self.word.load(Ordering::Relaxed);",
        ],
        "The pages go while somebody looks at them.",
    ),
    mutant(
        M4,
        "tier-pin-free",
        "tier",
        [
            "while word & TIER_MASK != Tier::Free as u32 {",
            "while word & TIER_MASK <= Tier::Draining as u32 {",
        ],
        "A superslab that is gone can be pinned.",
    ),
    mutant(
        M5,
        "tier-set-relaxed",
        "tier",
        [
            "Ordering::Release,\n            Ordering::Relaxed,\n        ) {\n            word = now;",
            "Ordering::Relaxed,\n            Ordering::Relaxed,\n        ) {\n            word = now;",
        ],
        "A reader may pin the new life of an address and see the old one's pages.",
    ),
    mutant(
        M5,
        "tier-pin-relaxed",
        "tier",
        [
            "Ordering::Acquire,\n                Ordering::Relaxed,",
            "Ordering::Relaxed,\n                Ordering::Relaxed,",
        ],
        "The same, seen from the reader's side.",
    ),
    mutant(
        M6,
        "tier-unpin-relaxed",
        "tier",
        ["fetch_sub(PIN, Ordering::Release)", "fetch_sub(PIN, Ordering::Relaxed)"],
        "The last reader's reads may come after the pages are used otherwise.",
    ),
    mutant(
        M6,
        "tier-release-relaxed",
        "tier",
        [
            "compare_exchange(tier, 0, Ordering::Acquire, Ordering::Relaxed)",
            "compare_exchange(tier, 0, Ordering::Relaxed, Ordering::Relaxed)",
        ],
        "The same, seen from the releasing side.",
    ),
    mutant(
        M7,
        "hatch-offer-without-door",
        "hatch",
        [
            "if self.door.try_enter() {\n            let done = put();",
            "{\n            let done = put();",
        ],
        "Two threads write into the ring at the same time.",
    ),
    mutant(
        M7,
        "hatch-leaves-before-it-takes",
        "hatch",
        [
            "let taken = take();\n        self.door.leave();",
            "self.door.leave();\n        let taken = take();",
        ],
        "ACE reads an event that is being written.",
    ),
    mutant(
        M7,
        "hatch-drops-in-two-steps",
        "hatch",
        [
            "self.dropped.swap(0, Ordering::Relaxed)",
            "{ let dropped = self.dropped.load(Ordering::Relaxed); self.dropped.store(0, Ordering::Relaxed); dropped }",
        ],
        "An event that is dropped meanwhile is not counted.",
    ),
    mutant(
        M8,
        "pair-set-in-two-steps",
        "pair",
        [
            "self.word.set(Self::join(first, second));",
            "self.word.set(Self::join(first, self.get().1));\n        self.word.set(Self::join(first, second));",
        ],
        "A reader may see the first number of the new setting with the second of the old one.",
    ),
    mutant(
        M8,
        "pair-get-in-two-steps",
        "pair",
        ["(word >> HALF, word & Self::MAX)", "(word >> HALF, self.word.get() & Self::MAX)"],
        "The same, seen from the reader's side.",
    ),
    mutant(
        M12,
        "turnstile-enter-relaxed",
        "turnstile",
        [
            "TAKEN, Ordering::Acquire, Ordering::Relaxed)",
            "TAKEN, Ordering::Relaxed, Ordering::Relaxed)",
        ],
        "Who enters may not see what the last one wrote.",
    ),
    mutant(
        M12,
        "turnstile-leave-relaxed",
        "turnstile",
        ["store(FREE, Ordering::Release)", "store(FREE, Ordering::Relaxed)"],
        "The same, seen from the side of the one who leaves.",
    ),
    mutant(
        M12,
        "turnstile-enter-in-two-steps",
        "turnstile",
        [
            "self.word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()",
            "let free = self.word.load(Ordering::Acquire) == FREE;\n        \
             if free {\n            self.word.store(TAKEN, Ordering::Relaxed);\n        }\n        free",
        ],
        "Owner and visitor find it free and both go in.",
    ),
];
