//! The story for people. Floor: tool.

use super::{
    decisions::{Change, Decision, class_words, counted, value},
    story::{Moved, Story, sentence},
};
use crate::report::bytes;
use std::{
    collections::BTreeMap,
    fmt::{Result, Write},
};

/// Rows of decisions; what is beyond is counted.
const ROWS: usize = 40;

pub fn text(story: &Story) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write(&mut out, story);
    out
}

fn write(out: &mut String, story: &Story) -> Result {
    write_title(out, story)?;
    write_phases(out, story)?;
    write_decisions(out, story)?;
    write_reasons(out, story)?;
    write_totals(out, story)?;
    write_dials(out, story)?;
    for note in &story.notes {
        writeln!(out, "\nNote: {note}.")?;
    }
    Ok(())
}

fn write_title(out: &mut String, story: &Story) -> Result {
    writeln!(out, "{}", title(story))?;
    writeln!(out, "{}", subtitle(story))?;
    if story.mode == "observe" {
        writeln!(out, "Mode observe: what follows was decided and not carried out.")?;
    }
    if !story.whole {
        writeln!(
            out,
            "The trace has no last line: the program still runs, was ended by a signal or by _exit, or \
             is a Rust\nprogram on AceAlloc, which writes none."
        )?;
    }
    Ok(())
}

/// Who.
pub fn title(story: &Story) -> String {
    format!("ACE on {} (process {})", story.program, story.pid)
}

/// How, how long, how much.
pub fn subtitle(story: &Story) -> String {
    let tender = if story.tender { ", with a tender" } else { "" };
    let totals = &story.totals;
    format!(
        "ACE-Alloc {}, mode {}, profile {}{tender}; {:.2} s, {}, {}",
        story.version,
        story.mode,
        story.profile,
        story.seconds,
        counted(totals.turns, "turn"),
        counted(totals.orders, "order")
    )
}

fn write_phases(out: &mut String, story: &Story) -> Result {
    writeln!(out, "\nWhat the program did with the heap")?;
    if story.phases.is_empty() {
        return writeln!(out, "  Nothing that took time: ACE took {} turns.", story.totals.turns);
    }
    for phase in &story.phases {
        let used = if phase.used_from == phase.used_to {
            format!("{} in use", bytes(phase.used_to))
        } else {
            format!("{} → {} in use", bytes(phase.used_from), bytes(phase.used_to))
        };
        let mut more = String::new();
        if let Some(rss) = phase.peak_rss {
            write!(more, ", resident up to {}", bytes(rss))?;
        }
        if phase.purged_bytes > 0 {
            write!(more, ", {} given back", bytes(phase.purged_bytes))?;
        }
        if phase.refaulted_bytes > 0 {
            write!(more, ", {} wanted again", bytes(phase.refaulted_bytes))?;
        }
        if phase.slow_events > 0 {
            write!(more, ", {} slow events", phase.slow_events)?;
        }
        let (from, to) = (seconds(phase.from_ms), seconds(phase.to_ms));
        writeln!(out, "  {from:>8} – {to:>8} s  {:<9} {used}{more}", phase.kind.name())?;
    }
    Ok(())
}

fn seconds(ms: u64) -> String {
    format!("{:.2}", ms as f64 / 1000.0)
}

fn write_decisions(out: &mut String, story: &Story) -> Result {
    writeln!(out, "\nWhat ACE decided")?;
    if story.decisions.is_empty() {
        let why = if story.mode == "off" { " (mode off)" } else { ": it found the dials right" };
        return writeln!(out, "  Nothing{why}.");
    }
    for decision in story.decisions.iter().take(ROWS) {
        write_decision(out, decision)?;
    }
    let more = story.decisions.len().saturating_sub(ROWS);
    if more > 0 {
        writeln!(out, "  … and {more} more (--json has them all)")?;
    }
    Ok(())
}

fn write_decision(out: &mut String, decision: &Decision) -> Result {
    let Decision { what, reason, turns, .. } = decision;
    let when = seconds(decision.from_ms);
    let times = if *turns > 1 {
        format!(" (in {turns} turns until {})", seconds(decision.to_ms))
    } else {
        String::new()
    };
    let why = match sentence(reason) {
        "" => reason.as_str(),
        sentence => sentence,
    };
    writeln!(out, "  {when:>8} s  {what}{times}\n{:14}{why}", "")
}

fn write_reasons(out: &mut String, story: &Story) -> Result {
    if story.reasons.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nOrders by reason")?;
    for reason in &story.reasons {
        writeln!(out, "  {:>7}  {:<16} {}", reason.orders, reason.reason, reason.sentence)?;
    }
    let back = story.totals.rolled_back;
    let taken = if back == 0 {
        "Nothing was taken back.".to_owned()
    } else {
        format!("{} took earlier ones back.", counted(back, "order"))
    };
    writeln!(out, "  {taken}")
}

fn write_totals(out: &mut String, story: &Story) -> Result {
    let totals = &story.totals;
    writeln!(out, "\nIn all")?;
    let mut row = |name: &str, value: String| writeln!(out, "  {name:<14} {value}");
    row(
        "turns",
        format!(
            "{}, of which {} have a line here ({} of them by the tender)",
            totals.turns, totals.lines, totals.by_tender
        ),
    )?;
    row("carried out", format!("{} of {} orders", totals.applied, totals.orders))?;
    row(
        "given back",
        format!("{} in {}", bytes(totals.purged_bytes), counted(totals.purges, "purge")),
    )?;
    row("wanted again", bytes(totals.refaulted_bytes))?;
    row("page faults", totals.minor_faults.to_string())?;
    if let (Some(peak), Some(last)) = (totals.peak_rss_bytes, totals.last_rss_bytes) {
        row("resident", format!("{} at most, {} at the end", bytes(peak), bytes(last)))?;
    }
    row(
        "in use",
        format!(
            "{} at most, by up to {}",
            bytes(totals.peak_used_bytes),
            counted(totals.most_threads, "thread")
        ),
    )?;
    if totals.denied > 0 {
        row("denied", format!("{} requests found no memory", totals.denied))?;
    }
    if totals.dropped > 0 {
        row("dropped", format!("{} events found no place in the ring", totals.dropped))?;
    }
    Ok(())
}

fn write_dials(out: &mut String, story: &Story) -> Result {
    writeln!(out, "\nDials at the end, where they differ from the beginning")?;
    let moved = story.dials.iter().filter(|dial| dial.change.from != dial.change.to);
    let (of_classes, plain): (Vec<_>, Vec<_>) =
        moved.partition(|dial| dial.change.class_bytes.is_some());
    if of_classes.is_empty() && plain.is_empty() {
        return match story.dials.len() as u64 {
            0 => writeln!(out, "  None was turned."),
            back => writeln!(out, "  None: {} that moved came back.", counted(back, "dial")),
        };
    }
    for Moved { change, orders } in plain {
        let (from, to) = (value(&change.dial, change.from), value(&change.dial, change.to));
        let orders = counted(*orders, "order");
        writeln!(out, "  {:<20} {from:>10} → {to:<10} ({orders})", change.dial)?;
    }
    let mut by_dial: BTreeMap<&str, (Vec<&Change>, u64)> = BTreeMap::new();
    for Moved { change, orders } in of_classes {
        let (changes, sum) = by_dial.entry(&change.dial).or_default();
        changes.push(change);
        *sum += orders;
    }
    for (dial, (changes, orders)) in by_dial {
        let words = class_words(&story.head, dial, &changes);
        writeln!(out, "  {words} ({})", counted(orders, "order"))?;
    }
    Ok(())
}
