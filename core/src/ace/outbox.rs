//! How many blocks travel together. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | parcels and blocks in them, of each class | [`ClassDial::Parcel`] |
//!
//! Parcels that go out full and often carry twice as many, up to a chunk's worth and
//! [`MOST_BYTES`]: one that fills a quarter of the receiver's magazine goes into its depot as it
//! is, a smaller one is unpacked into slabs. A class of which fewer than [`RARE`] blocks were sent
//! in [`WINDOW_MS`] sends what it has, at most [`SMALL`] together, so that none waits long in
//! another's hands. Bounds: 1 to 63.

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};

const MOST_BYTES: usize = 32 << 10;
const SMALL: u32 = 4;
const RARE: u32 = 32;
const WINDOW_MS: u64 = 500;
/// Parcels a second that are often.
const OFTEN: u64 = 1000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Outbox {
    homes: [Home<u8>; SizeClass::COUNT],
    /// Blocks sent in the window so far.
    sent: [u32; SizeClass::COUNT],
    window_ms: u64,
}

impl Outbox {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            homes: [const { Home::new(0) }; SizeClass::COUNT],
            sent: [0; SizeClass::COUNT],
            window_ms: 0,
        }
    }

    fn order(
        &mut self,
        class: SizeClass,
        blocks: usize,
        reason: Reason,
        to: (&Dials, &mut Orders),
    ) {
        let blocks = blocks.min(usize::from(ClassDial::Parcel.max())) as u8;
        let home = &mut self.homes[class.index()];
        home.of(to.0.of_class(class, ClassDial::Parcel));
        home.set(to, (class, ClassDial::Parcel), blocks, reason);
    }
}

/// Blocks at which a parcel of the class is full.
fn full(class: SizeClass, seen: &Seen, dials: &Dials) -> usize {
    let by_bytes = || dials.get(Dial::OutboxBytes) as usize / class.bytes();
    let blocks = match dials.of_class(class, ClassDial::Parcel) {
        0 => by_bytes(),
        blocks => usize::from(blocks),
    };
    blocks.clamp(1, seen.chunk_blocks())
}

impl Policy for Outbox {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.window_ms = self.window_ms.saturating_add(seen.span_ms);
        let over = self.window_ms >= WINDOW_MS;
        for class in SizeClass::all() {
            let acts = &seen.classes[class.index()];
            let sent = &mut self.sent[class.index()];
            *sent = sent.saturating_add(acts.sent);
            let in_window = *sent;
            if over {
                *sent = 0;
            }
            let full = full(class, seen, dials);
            let often = !seen.is_short()
                && u64::from(acts.parcels) * 1000 >= OFTEN.saturating_mul(seen.span_ms.max(1));
            if often && u64::from(acts.sent) * 8 >= u64::from(acts.parcels) * full as u64 * 7 {
                let most = seen.chunk_blocks().min(MOST_BYTES / class.bytes()).max(full);
                if full < most {
                    self.order(class, (full * 2).min(most), Reason::MailFull, (dials, orders));
                }
            } else if over && (1..RARE).contains(&in_window) && full > SMALL as usize {
                self.order(class, SMALL as usize, Reason::MailRare, (dials, orders));
            }
        }
        if over {
            self.window_ms = 0;
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{scene, settles, take};

    fn mail(bytes: usize, parcels: u32, sent: u32) -> (SizeClass, Seen) {
        let class = SizeClass::of(bytes).expect("a class");
        let mut seen = scene();
        seen.classes[class.index()].parcels = parcels;
        seen.classes[class.index()].sent = sent;
        (class, seen)
    }

    fn parcel(dials: &Dials, class: SizeClass) -> u8 {
        dials.of_class(class, ClassDial::Parcel)
    }

    #[test]
    fn full_and_frequent_parcels_grow_to_a_chunk_or_thirty_two_kib() {
        for (bytes, full, most) in [(64, 63, 0), (512, 32, 63), (1024, 16, 32), (4096, 4, 8)] {
            let (mut policy, dials) = (Outbox::new(), Dials::new());
            let mut often = mail(bytes, 100, 100 * full).1;
            let class = mail(bytes, 0, 0).0;
            take(&mut policy, &dials, &often);
            // The same parcels a turn, as full as they may be by then.
            often.classes[class.index()].sent = 100 * u32::from(parcel(&dials, class)).max(full);
            settles(&mut policy, &dials, &often);
            assert_eq!(parcel(&dials, class), most, "{bytes} bytes");
        }
    }

    #[test]
    fn half_empty_or_seldom_parcels_stay_as_they_are() {
        let (mut policy, dials) = (Outbox::new(), Dials::new());
        let (class, half) = mail(1024, 100, 800);
        settles(&mut policy, &dials, &half);
        settles(&mut policy, &dials, &mail(1024, 2, 32).1);
        assert_eq!(parcel(&dials, class), 0);
    }

    #[test]
    fn rare_mail_travels_in_small_parcels_until_there_is_more() {
        let (mut policy, dials) = (Outbox::new(), Dials::new());
        let (class, rare) = mail(64, 1, 1);
        settles(&mut policy, &dials, &rare);
        assert_eq!(parcel(&dials, class), 4);
        for turns in 1.. {
            let sent = 50 * u32::from(parcel(&dials, class));
            take(&mut policy, &dials, &mail(64, 50, sent).1);
            if parcel(&dials, class) == 63 {
                assert!(turns <= 5);
                break;
            }
        }
    }
}
