//! Owns the CSV of a sweep: a line for each sample, written when it is measured, read again to go on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::grid::Point;
use crate::rounds::{Bench, Sample};

/// What all lines of one CSV share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The build of library and worker.
    pub program: String,
    pub machine: String,
    pub grid: String,
}

/// One sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    program: String,
    machine: String,
    grid: String,
    point: String,
    settings: String,
    depot_class_kib: Option<u32>,
    depot_thread_kib: Option<u32>,
    refill_max: Option<u32>,
    dirty_floor_kib: Option<u32>,
    dirty_permille: Option<u32>,
    drain_permille: Option<u32>,
    bench: String,
    arguments: String,
    round: u32,
    /// Million operations per second.
    pub mops: f64,
    pub mean_rss_kib: f64,
    peak_rss_kib: u64,
}

/// How the head of every CSV begins.
const HEAD: &str = "program,machine,grid,point,settings,";

/// An open CSV.
pub struct Record {
    pub lines: Vec<Line>,
    identity: Identity,
    writer: csv::Writer<File>,
}

impl Line {
    /// Is it a sample of this point and bench?
    pub fn is_of(&self, point: &Point, bench: &Bench) -> bool {
        self.point == point.name && self.bench == bench.name && self.arguments == bench.words()
    }
}

impl Record {
    /// Opens a CSV, or begins one. One that holds something else is an error and stays as it is.
    pub fn open(path: &Path, identity: Identity) -> Result<Self, String> {
        let trouble = |e: io::Error| format!("cannot write {}: {e}", path.display());
        let (lines, whole) = match path.exists() {
            true => read(path)?,
            false => (Vec::new(), 0),
        };
        for line in &lines {
            line.check(path, &identity)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(trouble)?;
        // A sweep that was killed may have left half a line.
        file.set_len(whole).map_err(trouble)?;
        let writer = csv::WriterBuilder::new().has_headers(whole == 0).from_writer(file);
        Ok(Self { lines, identity, writer })
    }

    /// Is this sample there?
    pub fn has(&self, point: &Point, bench: &Bench, round: u32) -> bool {
        self.lines.iter().any(|line| line.round == round && line.is_of(point, bench))
    }

    /// Writes one sample down.
    pub fn add(
        &mut self,
        point: &Point,
        bench: &Bench,
        round: u32,
        sample: &Sample,
    ) -> Result<(), String> {
        let Identity { program, machine, grid } = self.identity.clone();
        let words = point.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let line = Line {
            program,
            machine,
            grid,
            point: point.name.clone(),
            settings: Vec::from_iter(words).join(" "),
            depot_class_kib: point.dials.map(|dials| dials.depot_kib.0),
            depot_thread_kib: point.dials.map(|dials| dials.depot_kib.1),
            refill_max: point.dials.map(|dials| dials.refill_max),
            dirty_floor_kib: point.dials.map(|dials| dials.dirty.0),
            dirty_permille: point.dials.map(|dials| dials.dirty.1),
            drain_permille: point.dials.map(|dials| dials.drain_permille),
            bench: bench.name.to_owned(),
            arguments: bench.words(),
            round,
            mops: sample.mops(),
            mean_rss_kib: sample.mean_rss_kib.unwrap_or(sample.end_rss_kib as f64),
            peak_rss_kib: sample.peak_rss_kib,
        };
        let trouble = |e: &dyn std::fmt::Display| format!("cannot write the CSV: {e}");
        self.writer.serialize(&line).map_err(|e| trouble(&e))?;
        self.writer.flush().map_err(|e| trouble(&e))?;
        self.lines.push(line);
        Ok(())
    }
}

impl Line {
    /// Does it belong to this sweep?
    fn check(&self, path: &Path, own: &Identity) -> Result<(), String> {
        let differs = [
            (self.grid != own.grid, "another grid (was it --quick?)"),
            (self.machine != own.machine, "another machine"),
            (self.program != own.program, "another build of the library or of the worker"),
        ];
        match differs.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(refusal(path, what)),
            None => Ok(()),
        }
    }
}

fn refusal(path: &Path, what: &str) -> String {
    let path = path.display();
    format!("{path} holds a sweep of {what}: name another file with --csv, or remove this one")
}

/// The lines of a CSV whose grid is this one.
pub fn read_for(path: &Path, grid: &str) -> Result<Vec<Line>, String> {
    let (lines, _) = read(path)?;
    for line in &lines {
        line.check(path, &Identity { grid: grid.to_owned(), ..lines[0].identity() })?;
    }
    Ok(lines)
}

impl Line {
    fn identity(&self) -> Identity {
        let Self { program, machine, grid, .. } = self.clone();
        Identity { program, machine, grid }
    }
}

/// The lines of a CSV, and the bytes up to the end of the last whole one.
fn read(path: &Path) -> Result<(Vec<Line>, u64), String> {
    let text =
        fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    if !text.is_empty() && !text[..whole].starts_with(HEAD) {
        return Err(format!("{} is not a sweep's CSV: its head is another", path.display()));
    }
    let mut reader = csv::Reader::from_reader(&text.as_bytes()[..whole]);
    let lines = reader.deserialize().collect::<Result<Vec<Line>, _>>();
    let lines = lines.map_err(|e| format!("{} is not a sweep's CSV: {e}", path.display()))?;
    Ok((lines, whole as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Scope;
    use crate::sweep::grid;
    use std::io::Write;

    fn identity(grid: &str) -> Identity {
        let text = str::to_owned;
        Identity { program: text("p"), machine: text("2 x \"CPU\", fast"), grid: text(grid) }
    }

    fn sample(ns: u64) -> Sample {
        Sample {
            version: String::new(),
            ops: 1000,
            ns,
            checksum: 0,
            start_rss_kib: 1,
            end_rss_kib: 2,
            peak_rss_kib: 3,
            mean_rss_kib: Some(1.5),
            story: Vec::new(),
        }
    }

    #[test]
    fn a_sweep_goes_on_where_it_was_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sweep.csv");
        let (points, benches) = (grid::points(true), grid::benches(Scope::Both));
        let ace = points.last().expect("ACE");
        let mut record = Record::open(&path, identity("g")).expect("a new file");
        record.add(&points[0], &benches[0], 0, &sample(10)).expect("written");
        record.add(ace, &benches[1], 2, &sample(20)).expect("written");
        drop(record);
        // Killed in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(&path).expect("the file");
        file.write_all(b"p,\"2 x").expect("written");
        let mut record = Record::open(&path, identity("g")).expect("the same sweep");
        assert_eq!(record.lines.len(), 2);
        assert!(record.has(&points[0], &benches[0], 0));
        assert!(!record.has(&points[0], &benches[0], 1), "another round");
        assert!(!record.has(&points[1], &benches[0], 0), "another point");
        assert!(!record.has(ace, &benches[0], 2), "the same bench with other arguments");
        assert!(record.has(ace, &benches[1], 2));
        record.add(&points[1], &benches[0], 0, &sample(10)).expect("written");
        drop(record);
        let lines = read_for(&path, "g").expect("whole lines");
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[2].mops, lines[2].mean_rss_kib), (100_000.0, 1.5));
        assert_eq!(lines[0].refill_max, Some(1));
    }

    #[test]
    fn a_csv_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sweep.csv");
        let (points, benches) = (grid::points(true), grid::benches(Scope::Tiny));
        let mut record = Record::open(&path, identity("g")).expect("a new file");
        record.add(&points[0], &benches[0], 0, &sample(10)).expect("written");
        drop(record);
        let before = fs::read(&path).expect("the file");
        let refused = |identity| Record::open(&path, identity).err().expect("refused");
        assert!(refused(identity("h")).contains("another grid"));
        assert!(read_for(&path, "h").expect_err("refused").contains("another grid"));
        let other = Identity { program: "q".to_owned(), ..identity("g") };
        assert!(refused(other).contains("another build"));
        let other = Identity { machine: "m".to_owned(), ..identity("g") };
        assert!(refused(other).contains("another machine"));
        assert_eq!(fs::read(&path).expect("the file"), before);
        for text in ["some,other\ntable,1\n", "some,other\n", "some", &format!("{HEAD}\n1,2\n")] {
            fs::write(&path, text).expect("written");
            assert!(refused(identity("g")).contains("not a sweep's CSV"), "{text}");
            assert_eq!(fs::read_to_string(&path).expect("the file"), text);
        }
    }
}
