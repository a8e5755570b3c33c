//! The figures as JSON and as tables. Floor: second.

use crate::{
    agents::{Row, Table},
    failure::Failure,
    figures::Times,
    link::{Link, Speeds},
    machine::Machine,
    overlap::Overlap,
    pages::Pages,
    stalls::Stalls,
};
use serde::Serialize;
use std::{fmt::Write as _, fs, path::Path};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub link: Link,
    pub pages: Option<Pages>,
    pub stalls: Option<Stalls>,
    pub overlap: Option<Overlap>,
    pub agents: Option<Vec<Table>>,
}

impl Report {
    pub fn json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| Failure::Unfit(format!("the figures can't be written: {error}")))
    }

    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        fs::write(path, self.json()?)
            .map_err(|error| Failure::Write { path: path.to_owned(), error })
    }

    pub fn in_words(&self) -> String {
        let mut text = Text(String::new());
        text.machine(&self.machine);
        text.link(&self.link);
        self.pages.iter().for_each(|pages| text.pages(pages));
        self.stalls.iter().for_each(|stalls| text.stalls(stalls));
        self.overlap.iter().for_each(|overlap| text.overlap(overlap));
        self.agents.iter().flatten().for_each(|table| text.agents(table));
        text.0
    }
}

struct Text(String);

fn mib(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

fn gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn us(times: &Times) -> f64 {
    times.median_us
}

impl Text {
    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn title(&mut self, title: &str) {
        self.line(&format!("\n{title}"));
    }

    fn machine(&mut self, machine: &Machine) {
        let Machine { device, driver_cuda, .. } = machine;
        self.line(&format!("{device}; driver for CUDA {driver_cuda}"));
        if let Some(version) = &machine.driver_version {
            self.line(&format!("  driver      {version}"));
        }
        let (all, free) = (gb(machine.memory_bytes), gb(machine.free_bytes));
        let grain = mib(machine.granularity_bytes);
        self.line(&format!("  memory      {all:.1} GB, {free:.1} GB free, in grains of {grain}"));
        for attribute in &machine.attributes {
            self.line(&format!("  {:<26}{}", attribute.name, attribute.value));
        }
        let host = &machine.host;
        let (all, free) = (gb(host.memory_bytes), gb(host.available_bytes));
        self.line(&format!("host: {}, {} threads", host.processor, host.threads));
        self.line(&format!("  memory      {all:.1} GB, {free:.1} GB available"));
        self.line(&format!("  kernel      {}", host.kernel));
    }

    fn link(&mut self, link: &Link) {
        self.title("Link, GB/s (medians)       in     out");
        for (name, table) in [("pinned", &link.pinned), ("pageable", &link.pageable)] {
            table.iter().for_each(|speeds| self.speeds(name, speeds));
        }
        self.speeds("both at once", &link.both_ways);
        self.title("Small pinned copies, us      alone  in a row");
        for small in &link.small {
            let (alone, row) = (us(&small.alone), us(&small.in_a_row));
            self.line(&format!("  {:<23} {alone:>8.1} {row:>9.2}", mib(small.bytes as u64)));
        }
        let pinning = &link.pinning;
        let (bytes, pin, unpin) =
            (mib(pinning.bytes as u64), us(&pinning.pin) / 1e3, us(&pinning.unpin) / 1e3);
        self.line(&format!("  pinning {bytes}: {pin:.1} ms, unpinning {unpin:.1} ms"));
    }

    fn speeds(&mut self, name: &str, speeds: &Speeds) {
        let chunk = mib(speeds.chunk_bytes as u64);
        let (inward, outward) = (speeds.inward / 1e9, speeds.outward / 1e9);
        self.line(&format!("  {name:<12} {chunk:>8} {inward:>7.2} {outward:>7.2}"));
    }

    fn pages(&mut self, pages: &Pages) {
        self.title("Pages, us (medians)               new            used");
        self.line("                  create     map  access     map  access   unmap  destroy");
        for row in &pages.rows {
            let fresh = [&row.map_fresh, &row.access_fresh].map(us);
            let recycled = [&row.map_recycled, &row.access_recycled].map(us);
            let [create, unmap, destroy] = [&row.create, &row.unmap, &row.destroy].map(us);
            let ([map, access], [map_again, access_again]) = (fresh, recycled);
            self.line(&format!(
                "  {:<14} {create:>7.1} {map:>7.1} {access:>7.1} {map_again:>7.1} {access_again:>7.1} \
                 {unmap:>7.1} {destroy:>8.1}",
                mib(row.bytes)
            ));
        }
        let group = &pages.group;
        let [map, access, access_all, unmap, unmap_all] = [
            &group.map,
            &group.access_each,
            &group.access_at_once,
            &group.unmap_each,
            &group.unmap_at_once,
        ]
        .map(us);
        self.line(&format!(
            "  {} blocks of {}: map {map:.1}",
            group.blocks,
            mib(group.block_bytes)
        ));
        self.line(&format!("    access one by one {access:.1}, at once {access_all:.1}"));
        self.line(&format!("    unmap one by one {unmap:.1}, at once {unmap_all:.1}"));
    }

    fn stalls(&mut self, stalls: &Stalls) {
        self.title(&format!("Unmapping {} beside other work, us (medians)", mib(stalls.bytes)));
        let lines = [
            ("unmap, idle device", &stalls.unmap_idle),
            ("unmap beside a kernel", &stalls.unmap_beside_kernel),
            ("unmap beside a copy", &stalls.unmap_beside_copy),
            ("kernel alone", &stalls.kernel_alone),
            ("kernel beside unmaps", &stalls.kernel_beside_unmaps),
            ("copy alone", &stalls.copy_alone),
            ("copy beside unmaps", &stalls.copy_beside_unmaps),
        ];
        for (name, times) in lines {
            let Times { median_us, most_us, count, .. } = times;
            self.line(&format!("  {name:<24} {median_us:>10.1} (most {most_us:.1}, of {count})"));
        }
    }

    fn overlap(&mut self, overlap: &Overlap) {
        self.title(&format!("Overlap, {} each way, ms (medians)", mib(overlap.bytes)));
        let Overlap { kernel, copy_in, copy_out, together, .. } = overlap;
        let [kernel, copy_in, copy_out, together] =
            [kernel, copy_in, copy_out, together].map(|times| us(times) / 1e3);
        self.line(&format!(
            "  kernel {kernel:.2}, copy in {copy_in:.2}, copy out {copy_out:.2}, together {together:.2}"
        ));
        let (efficiency, gain) = (overlap.efficiency, overlap.gain);
        self.line(&format!("  longest/together {efficiency:.2}, sum/together {gain:.2}"));
    }

    fn agents(&mut self, table: &Table) {
        let Table { regime, workload, hints, agents, steps, requests, .. } = table;
        self.title(&format!(
            "Agents, {regime}: {workload}, {hints} hints, {agents} agents x {steps} steps = {requests} \
             requests"
        ));
        let (footprint, percent, kernel) =
            (gb(table.footprint_bytes), table.memory_percent, table.kernel_ms);
        self.line(&format!(
            "  {footprint:.2} GB of states, {percent} % of that on the device, kernels of {kernel:.2} ms"
        ));
        self.line(
            "  arm           s   req/s  /naive   /lru  stall   in GB  out GB  p50 ms  p99 ms  wasted  \
             simulated s  bound s",
        );
        table.arms.iter().for_each(|row| self.arm(row));
        self.line("  contents of all arms checked, outputs equal");
    }

    fn arm(&mut self, row: &Row) {
        let number = |number: Option<f64>, digits: usize| {
            number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
        };
        let Row { arm, seconds, requests_per_second, p50_ms, p99_ms, .. } = row;
        let (naive, lru) = (number(row.over_naive, 2), number(row.over_lru, 2));
        let (stall, wasted) = (row.stall * 100.0, row.wasted_prefetch * 100.0);
        let (inward, outward) = (gb(row.in_bytes), gb(row.out_bytes));
        let (simulated, bound) = (number(row.predicted_seconds, 3), number(row.bound_seconds, 3));
        self.line(&format!(
            "  {arm:<9} {seconds:>7.3} {requests_per_second:>7.1} {naive:>7} {lru:>6} {stall:>5.1}% \
             {inward:>7.2} {outward:>7.2} {p50_ms:>7.1} {p99_ms:>7.1} {wasted:>6.1}% {simulated:>12} \
             {bound:>8}"
        ));
    }
}
