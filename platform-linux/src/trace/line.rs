//! The lines of a trace. Floor: adapter.

use crate::{
    HEAP,
    json::{write_numbers, write_object, write_program},
    options, resident, tender,
};
use ace_alloc::{
    ace::{Act, ClassSeen, Order, Seen, Turn},
    dials::{Dial, Dials},
    geometry::{Geometry, Host, shape_of},
    meter::{COUNTERS, NAMES},
    pages::PageProvider,
    size_class::SizeClass,
    stats::Stats,
};
use core::fmt::{self, Write};

/// Version of the lines' form.
const FORM: u32 = 1;

/// What happened since the last line.
pub(super) struct Since {
    span_ms: u64,
    events: [u64; COUNTERS],
    classes: [ClassSeen; SizeClass::COUNT],
    threads_began: u64,
    threads_ended: u64,
    denied: u64,
    grown_units: u64,
    dropped: u64,
}

impl Since {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        span_ms: 0,
        events: [0; COUNTERS],
        classes: [ClassSeen { refills: 0, overflows: 0, parcels: 0, sent: 0 }; SizeClass::COUNT],
        threads_began: 0,
        threads_ended: 0,
        denied: 0,
        grown_units: 0,
        dropped: 0,
    };

    /// Adds what a turn saw.
    pub(super) fn add(&mut self, seen: &Seen) {
        self.span_ms += seen.span_ms;
        for (sum, more) in self.events.iter_mut().zip(seen.events.counts()) {
            *sum += more;
        }
        for (sum, more) in self.classes.iter_mut().zip(&seen.classes) {
            sum.refills = sum.refills.saturating_add(more.refills);
            sum.overflows = sum.overflows.saturating_add(more.overflows);
            sum.parcels = sum.parcels.saturating_add(more.parcels);
            sum.sent = sum.sent.saturating_add(more.sent);
        }
        self.threads_began += u64::from(seen.began);
        self.threads_ended += u64::from(seen.ended);
        self.denied += u64::from(seen.denied);
        self.grown_units += u64::from(seen.grown_units);
        self.dropped += u64::from(seen.dropped);
    }
}

/// Who and how.
pub(super) fn write_head(out: &mut impl Write) -> fmt::Result {
    // SAFETY: getpid has no preconditions.
    write!(out, "{{\"trace\":{FORM},\"pid\":{},\"program\":", unsafe { libc::getpid() })?;
    write_program(out)?;
    let (version, mode) = (env!("CARGO_PKG_VERSION"), HEAP.mode().name());
    let (profile, tender) = (options::profile().name(), options::tender_is_wanted());
    write!(
        out,
        ",\"version\":\"{version}\",\"mode\":\"{mode}\",\"profile\":\"{profile}\",\"tender\":{tender}"
    )?;
    for (name, number) in [
        ("unix_ms", unix_ms()),
        ("page_bytes", <crate::LinuxPages as PageProvider>::PAGE as u64),
        ("unit_bytes", Host::UNIT as u64),
        ("superslab_bytes", Host::SUPERSLAB as u64),
        ("huge_min_bytes", Host::HUGE_MIN as u64),
    ] {
        write!(out, ",\"{name}\":{number}")?;
    }
    out.write_str(",\"classes\":")?;
    let mut before = '[';
    for class in SizeClass::all().filter(|class| class.bytes() <= Host::CLASS_MAX) {
        out.write_char(before)?;
        before = ',';
        let cap = shape_of::<Host>(class).magazine.into();
        write_object(out, &[("bytes", class.bytes() as u64), ("cap", cap)])?;
    }
    out.write_str("]")?;
    write_dials(out, HEAP.dials())?;
    out.write_str("}\n")
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    u64::try_from(now.tv_sec * 1000 + now.tv_nsec / 1_000_000).unwrap_or(0)
}

fn write_dials(out: &mut impl Write, dials: &Dials) -> fmt::Result {
    let named: [(&str, u64); Dial::COUNT] = core::array::from_fn(|dial| {
        (Dial::ALL[dial].spec().name, dials.get(Dial::ALL[dial]).into())
    });
    write_numbers(out, "dials", &named)
}

/// What a turn saw, what happened since the last line, and what it wants.
pub(super) fn write_turn(
    out: &mut impl Write,
    (number, ms): (u64, u64),
    turn: &Turn<'_>,
    since: &Since,
) -> fmt::Result {
    write_begin(out, "turn", number, ms)?;
    let by = if tender::is_me() { "tender" } else { "program" };
    write!(out, ",\"by\":\"{by}\"")?;
    let levels = turn.seen.levels;
    if let Some(rss) = levels.rss_bytes {
        write!(out, ",\"rss_bytes\":{rss}")?;
    }
    for (name, number) in [
        ("used_bytes", levels.used_bytes),
        ("dirty_bytes", levels.dirty_bytes),
        ("dirty_low_bytes", levels.dirty_low_bytes),
        ("committed_bytes", levels.committed_bytes),
        ("huge_bytes", levels.huge_bytes),
        ("live_superslabs", levels.live.into()),
        ("draining_superslabs", levels.draining.into()),
        ("drained_superslabs", levels.drained.into()),
        ("revived_superslabs", levels.revived.into()),
        ("promoted_superslabs", levels.promoted.into()),
        ("room_permille", levels.room_permille.into()),
        ("threads", levels.threads.into()),
        ("threads_asleep", turn.seen.asleep.into()),
        ("minor_faults", resident::minor_faults()),
        ("span_ms", since.span_ms),
        ("threads_began", since.threads_began),
        ("threads_ended", since.threads_ended),
        ("denied", since.denied),
        ("grown_units", since.grown_units),
        ("dropped", since.dropped),
    ] {
        write!(out, ",\"{name}\":{number}")?;
    }
    write_events(out, since.events)?;
    write_classes(out, &since.classes)?;
    write_orders(out, turn)?;
    out.write_str("}\n")
}

fn write_begin(out: &mut impl Write, name: &str, number: u64, ms: u64) -> fmt::Result {
    // SAFETY: getpid has no preconditions.
    write!(out, "{{\"{name}\":{number},\"pid\":{},\"ms\":{ms}", unsafe { libc::getpid() })
}

/// Those that happened.
fn write_events(out: &mut impl Write, counts: [u64; COUNTERS]) -> fmt::Result {
    out.write_str(",\"events\":")?;
    let mut before = '{';
    for (name, count) in NAMES.iter().zip(counts).filter(|(_, count)| *count > 0) {
        write!(out, "{before}\"{name}\":{count}")?;
        before = ',';
    }
    out.write_str(if before == '{' { "{}" } else { "}" })
}

/// Those that did something.
fn write_classes(out: &mut impl Write, classes: &[ClassSeen; SizeClass::COUNT]) -> fmt::Result {
    out.write_str(",\"classes\":[")?;
    let mut before = "";
    for (class, seen) in SizeClass::all().zip(classes) {
        if *seen == ClassSeen::default() {
            continue;
        }
        out.write_str(before)?;
        before = ",";
        let numbers = [
            ("bytes", class.bytes() as u64),
            ("refills", seen.refills.into()),
            ("overflows", seen.overflows.into()),
            ("parcels", seen.parcels.into()),
            ("sent", seen.sent.into()),
        ];
        write_object(out, &numbers)?;
    }
    out.write_str("]")
}

fn write_orders(out: &mut impl Write, turn: &Turn<'_>) -> fmt::Result {
    out.write_str(",\"orders\":[")?;
    for (nth, order) in turn.orders.iter().enumerate() {
        out.write_str(if nth == 0 { "{" } else { ",{" })?;
        write_act(out, order.act, (&turn.orders[..nth], turn.dials))?;
        let why = order.reason.code();
        write!(out, ",\"reason\":\"{why}\",\"applied\":{}}}", turn.applied)?;
    }
    out.write_str("]")
}

/// An act; `before` are the orders of this turn that come first, and the dials before them.
fn write_act(out: &mut impl Write, act: Act, before: (&[Order], &Dials)) -> fmt::Result {
    let (earlier, dials) = before;
    match act {
        Act::Set(dial, to) => {
            let same = |order: &Order| match order.act {
                Act::Set(other, to) if other == dial => Some(to),
                _ => None,
            };
            let from = earlier.iter().rev().find_map(same).unwrap_or_else(|| dials.get(dial));
            let name = dial.spec().name;
            write!(out, "\"act\":\"set\",\"dial\":\"{name}\",\"from\":{from},\"to\":{to}")
        }
        Act::SetClass(class, dial, to) => {
            let same = |order: &Order| match order.act {
                Act::SetClass(other, of, to) if (other, of) == (class, dial) => Some(to),
                _ => None,
            };
            let from =
                earlier.iter().rev().find_map(same).unwrap_or_else(|| dials.of_class(class, dial));
            let (name, bytes) = (dial.name(), class.bytes());
            write!(
                out,
                "\"act\":\"set_class\",\"dial\":\"{name}\",\"class_bytes\":{bytes},\"from\":{from},\"to\":{to}"
            )
        }
        Act::Purge(keep_kib) => write!(out, "\"act\":\"purge\",\"keep_kib\":{keep_kib}"),
        Act::Trim => out.write_str("\"act\":\"trim\""),
        Act::Visit(threads) => write!(out, "\"act\":\"visit\",\"threads\":{threads}"),
        Act::Promote(superslabs) => {
            write!(out, "\"act\":\"promote\",\"superslabs\":{superslabs}")
        }
    }
}

/// The whole run in sums, and the dials as they stand.
pub(super) fn write_end(
    out: &mut impl Write,
    (turns, ms): (u64, u64),
    stats: &Stats,
) -> fmt::Result {
    write_begin(out, "end", turns, ms)?;
    if let Some(rss) = resident::bytes() {
        write!(out, ",\"rss_bytes\":{rss}")?;
    }
    write!(out, ",\"minor_faults\":{}", resident::minor_faults())?;
    write_events(out, stats.events.counts())?;
    write_dials(out, HEAP.dials())?;
    out.write_str("}\n")
}
